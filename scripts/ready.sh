#!/usr/bin/env bash
# Succeeds if the service says that it is ready: bloom-ready [[HOST:]PORT [PATH [TEXT]]]. Without
# arguments it asks the one on this machine, port 5000. With a TEXT the answer has to contain it;
# BLOOM_API_KEY is shown where it is set. Needs no program beside bash and grep, because the
# container has no other.
set -euo pipefail

address=${1:-5000} path=${2:-/readyz} text=${3:-}
port=${address##*:}
host=${address%"$port"}
host=${host%:}
key=${BLOOM_API_KEY:+X-Runtime-API-Key: $BLOOM_API_KEY$'\r\n'}
exec 3<>"/dev/tcp/${host:-127.0.0.1}/$port"
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n' "$path" "$key" >&3
IFS=' ' read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
[ -z "$text" ] || grep -qF -- "$text" <&3
