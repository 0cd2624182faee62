#!/bin/sh
# How fast the service answers for statistics and lists with many finished tasks.
#
#   bench/stats_at_scale.sh [TASKS [DIR]]      1000000 tasks; a new directory unless one is named
#
# Starts the release binary with its private Postgres in DIR, writes TASKS finished tasks with
# their whole history (four events, an attempt and an artifact each) straight into the tables,
# and measures each route over one connection, one request after the other.
set -eu

tasks=${1:-1000000}
dir=${2:-$(mktemp -d)}
requests=300
chunk=20000
cd "$(dirname "$0")/.."
cargo build --release --quiet --bin bloom
chmod 711 "$dir"

# The pipe ends with the service, so this waits for its lines and no longer.
mkfifo "$dir/out"
target/release/bloom serve --listen 127.0.0.1:0 --data-dir "$dir/data" --pool-size 8 \
    --rate-per-minute 0 --heavy-rate-per-minute 0 >"$dir/out" 2>"$dir/log" &
service=$!
trap 'kill "$service" 2>/dev/null; wait "$service" 2>/dev/null' EXIT INT TERM
exec 3<"$dir/out"
url= psql=
while [ -z "$url" ] || [ -z "$psql" ]; do
    read -r line <&3 || { cat "$dir/log" >&2; exit 1; }
    case $line in
        *" is at "*) url=${line##* is at } ;;
        *"psql '"*) psql=${line#*psql \'} psql=${psql%\'} ;;
    esac
done
export PGOPTIONS='-c search_path=pg_catalog,bloom_private,pg_temp'
query() { psql -X -q -v ON_ERROR_STOP=1 "$psql" "$@"; }

have=$(query -At -c "select coalesce(sum(tasks), 0)::bigint from bloom_private.status_counts()")
echo "filling from $have to $tasks tasks"
query <<SQL
create or replace procedure pg_temp.fill(p_from bigint, p_to bigint, p_chunk bigint)
language plpgsql as \$\$
declare
    n bigint := p_from;
begin
    while n < p_to loop
        create temp table made on commit drop as
        select bloom_private.uuid_v7() as task_id, bloom_private.uuid_v7() as lease_id,
            bloom_private.uuid_v7() as artifact_id, i,
            case when i % 100 < 3 then 'dead' when i % 100 < 5 then 'cancelled'
                 else 'completed' end as status
          from generate_series(n, least(n + p_chunk, p_to) - 1) i;
        insert into bloom_private.task
        select task_id, 'default', 'context-' || i % 5000, 'writer', repeat('words ', 30), '{}',
            '{"timeout_sec": 120, "budget": 0, "serial": false, "backoff_base_sec": 5,
              "backoff_cap_sec": 900}', 'text', '{}', 5, 3, 5, false, null, now(), 'bench'
          from made;
        insert into bloom_private.event (cause, task_id, ver, queue, prior, status, epoch, fence,
            attempts, crashes, lease_id, worker_id, actor)
        select s.cause, task_id, s.ver, 'default', s.prior, s.status, 0, s.fence, s.fence, 0,
            case when s.fence = 1 then lease_id end, case when s.fence = 1 then 'w' end, 'bench'
          from made cross join (values ('submitted', 1, null, 'queued', 0),
                  ('leased', 2, 'queued', 'leased', 1), ('running', 3, 'leased', 'running', 1))
               s (cause, ver, prior, status, fence);
        insert into bloom_private.attempt (task_id, fence, lease_id, worker_id, epoch, attempt,
            started_at, running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome,
            result_status, metrics, artifact_id, digest)
        select task_id, 1, lease_id, 'w' || i % 50, 0, 1, now(), now(), now(), now(), now(), 300,
            case status when 'dead' then 'failed' else status end,
            case status when 'completed' then 'success' else 'error' end,
            '{"duration_ms": 5, "tokens_used": null}', artifact_id, '\x00'
          from made;
        insert into bloom_private.artifact
        select artifact_id, task_id, lease_id, 'LLM_RESULT', '{}', null, repeat('answer ', 20), 140,
            now() from made;
        insert into bloom_private.finished (task_id, queue, status, ver, epoch, fence, attempts,
            crashes, cause, prior, actor, lease_id, worker_id)
        select task_id, 'default', status, 4, 0, 1, 1, 0, status, 'running', 'bench', lease_id,
            'w' || i % 50 from made;
        drop table made;
        commit;
        perform bloom.status_fold();
        commit;
        n := n + p_chunk;
    end loop;
end
\$\$;
call pg_temp.fill($have, $tasks, $chunk);
SQL
# Some that wait, too.
body=$(printf '%s' '{"context_id":"c","agent_slug":"a","prompt":"p"}')
all=$body
for _ in $(seq 499); do all="$all,$body"; done
curl -sf -H 'content-type: application/json' -d "{\"tasks\":[$all]}" \
    "$url/api/runtime/llm-tasks/batch" >/dev/null
query -c "vacuum (analyze)"
sleep 3

first=$(query -At -c "select task_id from bloom_private.finished
    where status = 'completed' order by task_id desc offset 5000 limit 1")
printf '%-52s %8s %8s %8s\n' "$(query -At -c 'select count(*) from bloom_private.finished') finished tasks; ms:" \
    p50 p99 max
for path in /stats '/overview?window=hour' '/overview?window=day' /runs /queues '/llm-tasks' '/llm-tasks?status=completed' \
    '/llm-tasks?status=dead' '/llm-tasks?status=queued' '/llm-tasks?status=failed' \
    '/llm-tasks?status=completed&limit=1000' "/llm-tasks?status=completed&cursor=$first" \
    '/llm-tasks?context_id=context-17' '/llm-tasks?context_id=none' \
    /audit '/audit?limit=1000' /leases '/leases?status=failed' /artifacts "/artifacts?task_id=$first" \
    /workers /health
do
    times=$(mktemp)
    config=$(mktemp)
    for _ in $(seq $requests); do
        printf 'url = "%s/api/runtime%s"\noutput = /dev/null\n' "$url" "$path"
    done >"$config"
    curl -sf -K "$config" -w '%{time_total}\n' >"$times"
    sort -n "$times" | awk -v path="$path" '{ t[NR] = $1 * 1000 }
        END { printf "%-52s %8.1f %8.1f %8.1f\n", path, t[int(NR * .5)], t[int(NR * .99)], t[NR] }'
    rm -f "$times" "$config"
done
[ $# -ge 2 ] || { kill "$service"; wait "$service" || true; rm -rf "$dir"; }
