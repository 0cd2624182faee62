#!/usr/bin/env bash
# Schemathesis against a running service: every operation that GET /openapi.json describes, with
# data made from the description, and each answer held against it.
# Left out: the event stream, which does not end, and what only passes on Membridge's answers.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
target=$(realpath "${CARGO_TARGET_DIR:-target}")
venv=$target/schemathesis-$version
if [ ! -x "$venv/bin/openapi-spec-validator" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "schemathesis==$version" "openapi-spec-validator==0.9.0"
fi

work=$(mktemp -d)
service=
end() {
    [ -z "$service" ] || { kill "$service" && wait "$service"; } 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT
chmod 755 "$work"
: >"$work/out"

export RUNTIME_API_KEY=for-this-run-only
"$target/debug/bloom" serve --listen 127.0.0.1:0 --data-dir "$work/data" --rate-per-minute 1000000 \
    --heavy-rate-per-minute 1000000 --worker-rate-per-second 100000 >"$work/out" 2>"$work/log" &
service=$!
for _ in $(seq 120); do
    address=$(sed -n 's/^BLOOM Runtime is at //p' "$work/out")
    [ -n "$address" ] && break
    kill -0 "$service" || { cat "$work/log" >&2; exit 1; }
    sleep 0.5
done

# The description itself, against OpenAPI's own schema.
curl -sf "${address:?the service did not start}/openapi.json" >"$work/openapi.json"
"$venv/bin/openapi-spec-validator" --schema 3.1 "$work/openapi.json"

# It leaves notes where it runs.
cd "$work"
check() {
    "$venv/bin/schemathesis" run "${address:?the service did not start}/openapi.json" \
        --header "X-Runtime-API-Key: $RUNTIME_API_KEY" --seed "${SEED:-1}" \
        --generation-with-security-parameters false --generation-database none \
        --exclude-path /api/runtime/events \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection \
        --suppress-health-check all --warnings off --request-timeout 70 --no-color \
        --continue-on-failure "$@"
}
# These say for each item what is wrong with it, and 200.
items='^/api/runtime/(leases/complete|llm-tasks/batch)$'
check --phases examples,coverage --exclude-path-regex "^/api/membridge/|$items"
check --phases examples,coverage --include-path-regex "$items" --exclude-checks negative_data_rejection
# By chance, but not those that may wait for a minute.
check --phases fuzzing --max-examples "${EXAMPLES:-25}" \
    --exclude-path-regex "^/api/membridge/|$items|/leases\$|/log\$"

# Refusals for want of a right or of patience say nothing about what lies behind them.
answers() { grep -c "http.status=$1" "$work/log" || true; }
all=$(answers .)
turned_away=$(($(answers 401) + $(answers 403) + $(answers 429)))
echo "$all answers, $turned_away of them 401, 403 or 429"
[ "$all" -gt 1000 ] && [ $((turned_away * 20)) -lt "$all" ]
