"""The few calls of the HTTP API that the examples need, with nothing but the standard library."""

import json
import os
import urllib.error
import urllib.request

SERVER = os.environ.get("BLOOM_SERVER", "http://127.0.0.1:5000")
KEY = os.environ.get("BLOOM_API_KEY")


class Refused(Exception):
    """The service said no. `status` is the HTTP status, `code` a stable word."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body.get('error')}")
        self.status = status
        self.code = body.get("code")


def call(method, path, body=None, headers=None, timeout=70):
    """Makes a call below /api/runtime and returns its JSON. Raises Refused, or URLError."""
    request = urllib.request.Request(f"{SERVER}/api/runtime{path}", method=method)
    request.add_header("Accept", "application/json")
    if KEY:
        request.add_header("X-Runtime-API-Key", KEY)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)) from None
