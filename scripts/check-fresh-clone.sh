#!/usr/bin/env bash
# What a newcomer does: clones the last commit into an empty directory, starts it with `make run`,
# submits a task, stops it, and starts it again, which must take seconds.
set -euo pipefail
cd "$(dirname "$0")/.."

port=5071
base=http://127.0.0.1:$port
clone=$(mktemp -d "${TMPDIR:-/tmp}/bloom-fresh.XXXXXX")
run_pid=
finish() {
    stop
    rm -rf "$clone"
}
trap finish EXIT

# The service is a child of make; both are in a process group of their own.
start() {
    setsid make -C "$clone" run ARGS="--listen 127.0.0.1:$port" \
        >>"$clone/run.log" 2>&1 &
    run_pid=$!
}

stop() {
    [ -n "$run_pid" ] || return 0
    kill -TERM -- "-$run_pid" 2>/dev/null || true
    wait "$run_pid" 2>/dev/null || true
    run_pid=
}

await_ready() {
    for _ in $(seq "$1"); do
        if curl --fail --silent --output /dev/null "$base/readyz"; then
            return 0
        fi
        kill -0 "$run_pid" 2>/dev/null || break
        sleep 1
    done
    echo "check-fresh-clone: not ready after $1 s:" >&2
    tail -30 "$clone/run.log" >&2
    return 1
}

git clone --quiet . "$clone"
chmod 755 "$clone"
begun=$(date +%s)
start
await_ready 1500
echo "check-fresh-clone: from the clone to a ready service: $(($(date +%s) - begun)) s"
grep -q "BLOOM Runtime is at $base" "$clone/run.log"
id=$(curl --fail --silent "$base/api/runtime/llm-tasks" --header 'content-type: application/json' \
    --data '{"context_id": "c", "agent_slug": "a", "prompt": "hello"}' |
    sed -n 's/^{"id":"\([0-9a-f-]*\)".*/\1/p')
[ -n "$id" ]
stop

begun=$(date +%s)
start
await_ready 60
curl --fail --silent "$base/api/runtime/llm-tasks/$id" | grep -q '"status":"queued"'
stop
echo "check-fresh-clone: make run serves; the second start took $(($(date +%s) - begun)) s," \
    "and the task was still there"
