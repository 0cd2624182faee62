#!/usr/bin/env bash
# Counts the instructions that the service executes for a request, all of its threads together: callgrind,
# the difference between N and 4N requests on one connection that is kept alive.
#   bench/http_instructions.sh health 500     GET /api/runtime/health
#   bench/http_instructions.sh task 500       read one task
#   bench/http_instructions.sh submit 500     submit a task of 150 bytes, with minimal answers
#   bench/http_instructions.sh lease 500      ask for work where there is none
# Needs valgrind, curl, the PostgreSQL server, and `make build`. As root PostgreSQL runs as the user postgres.
# KEEP=1 keeps callgrind's files: callgrind_annotate shows in which functions the instructions went.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-health} count=${2:-500}
. bench/scratch.sh

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
api="http://127.0.0.1:$port/api/runtime"
task='{"context_id": "c", "agent_slug": "a", "prompt": "'$(printf 'x%.0s' $(seq 150))'"}'
ask='{"worker_id": "w", "session_id": "00000000-0000-4000-8000-000000000001"}'
post() { curl -fsS --fail-early -H 'Content-Type: application/json' -d "$@"; }

# Sends the request so many times, on one connection.
requests() {
    case $kind in
    health) curl -fsS --fail-early -o "$dir/answer#1" "$api/health#[1-$1]" ;;
    task) curl -fsS --fail-early -o "$dir/answer#1" "$api/llm-tasks/$id#[1-$1]" ;;
    submit) post "$task" -H 'Prefer: return=minimal' -o "$dir/answer#1" "$api/llm-tasks#[1-$1]" ;;
    lease) post "$ask" -o "$dir/answer#1" "$api/leases#[1-$1]" ;;
    *) echo "health, task, submit or lease" >&2; exit 2 ;;
    esac
}
counted() {
    valgrind --tool=callgrind --callgrind-out-file="$dir/callgrind.$1" "$bloom" serve --database-url "$database" \
        --listen "127.0.0.1:$port" >"$dir/out" 2>&1 &
    service=$!
    until curl -fs -o /dev/null "$api/health"; do sleep 0.2; done
    post '{"name": "w"}' "$api/workers" -o /dev/null || true
    id=$(post "$task" "$api/llm-tasks" | sed 's/^{"id":"\([^"]*\)".*/\1/')
    [ "$kind" = lease ] && post "$ask" "$api/leases" -o /dev/null
    requests "$1"
    kill "$service" && wait "$service" || true
    service=
    awk '/Collected/ { print $NF }' "$dir/out"
}
once=$(counted "$count") often=$(counted $((4 * count)))
echo "$kind: $(((often - once) / (3 * count) / 1000)) thousand instructions a request"
