#!/usr/bin/env python3
"""A small worker: python3 worker.py NAME [TASKS]. It answers each prompt with its words counted, and
ends after so many tasks, if a number is given.

A worker registers, asks for work (the service holds the request until there is some), beats while it
works, and reports. What it may not do is go on once its lease is lost: somebody else may have the task.
"""

import sys
import threading
import time
import uuid

from bloom import Refused, call

TTL_SECONDS = 30


def work(prompt, stop):
    """The work itself. It ends early where stop is set: somebody wants the task to end."""
    words = 0
    for _ in prompt.split():
        if stop.is_set():
            raise RuntimeError("cancelled")
        words += 1
    return f"{words} words"


class Worker:
    def __init__(self, name):
        self.name = name
        self.session = str(uuid.uuid4())
        call("POST", "/workers", {"name": name, "capabilities": {"max_concurrency": 1}})

    def lease(self):
        """The next lease with its task, or None after 20 s without work."""
        request = {
            "worker_id": self.name,
            "session_id": self.session,
            "request_id": str(uuid.uuid4()),
            "wait_seconds": 20,
            "ttl_seconds": TTL_SECONDS,
        }
        leases = call("POST", "/leases", request)["leases"]
        return leases[0] if leases else None

    def beat(self, lease_id):
        """Renews the lease; says 'ok', 'cancel' (stop and report), or 'lost' (stop)."""
        beat = {"session_id": self.session, "leases": [{"lease_id": lease_id}]}
        return call("POST", f"/workers/{self.name}/beat", beat)["leases"][0]["state"]

    def run(self, granted):
        lease, task = granted["lease"], granted["task"]
        stop, lost, done = threading.Event(), threading.Event(), threading.Event()

        def keep():
            renewed = time.monotonic()
            while not done.wait(TTL_SECONDS / 3):
                asked = time.monotonic()
                try:
                    state, renewed = self.beat(lease["id"]), asked
                except (OSError, Refused):
                    # Not heard. Once the lease may have run out, it counts as lost.
                    state = "ok" if asked - renewed < TTL_SECONDS else "lost"
                if state == "lost":
                    lost.set()
                if state != "ok":
                    stop.set()

        call("POST", f"/llm-tasks/{task['id']}/heartbeat", {"lease_id": lease["id"]})
        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            report = {"status": "success", "output": work(task["prompt"], stop)}
        except Exception as error:  # the task failed, not the worker
            report = {"status": "error", "error_message": str(error)}
        done.set()
        keeper.join()
        if not lost.is_set():
            call("POST", f"/llm-tasks/{task['id']}/complete", {"lease_id": lease["id"], **report})

    def leave(self):
        call("POST", f"/workers/{self.name}/leave", {"session_id": self.session})


def main():
    worker = Worker(sys.argv[1])
    left = int(sys.argv[2]) if len(sys.argv) > 2 else None
    while left != 0:
        granted = worker.lease()
        if granted is None:
            continue
        try:
            worker.run(granted)
        except Refused as refused:
            if refused.code != "lease_lost":
                raise
        left = None if left is None else left - 1
    worker.leave()


if __name__ == "__main__":
    main()
