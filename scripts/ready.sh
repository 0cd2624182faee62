#!/usr/bin/env bash
# Succeeds if the service on this machine (default port 5000) says that it is ready. Needs no
# program beside bash, because the container has none.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-5000}"
printf 'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
IFS=' ' read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
