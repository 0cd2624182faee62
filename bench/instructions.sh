#!/usr/bin/env bash
# Counts the instructions that PostgreSQL executes for a call, without noise: callgrind on a single-user
# server, the difference between N and 2N calls.
#   bench/instructions.sh one 10        lease and complete one task
#   bench/instructions.sh batch 3       lease and complete 100 in two calls
#   bench/instructions.sh beat 20       a beat of 20 leases
#   bench/instructions.sh submit 20     submit one task
# Needs valgrind, the PostgreSQL server, and `make build`. As root it becomes the user postgres.
# FUNCTIONS="a.sql b.sql" applies these files first, to try a change; KEEP=1 keeps callgrind's files.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-one} count=${2:-10}
. bench/scratch.sh

psql() { command psql -X -q -v ON_ERROR_STOP=1 -h "$dir/run" -U postgres "$@" postgres; }
for file in ${FUNCTIONS:-}; do
    (echo 'set role bloom_owner; set search_path = pg_catalog, bloom_private, pg_temp;' && cat "$file") | psql
done
session="'00000000-0000-0000-0000-000000000001'"
psql >/dev/null <<SQL
select from bloom.worker_register('w', '{"max_concurrency": 1000}');
select from generate_series(1, 5) b, bloom.task_submit_many((select jsonb_agg(jsonb_build_object(
    'context_id', b || '-' || i, 'agent_slug', 'a', 'prompt', repeat('x', 150)))
    from generate_series(1, 1000) i));
select from bloom.worker_register('b', '{"max_concurrency": 20}'), bloom.lease_next('b', $session, 20);
vacuum analyze;
SQL
as "$bin/pg_ctl -D $dir/data -m fast -w stop" >/dev/null

calls() {
    case $kind in
    one | batch) n=$([ "$kind" = one ] && echo 1 || echo 100)
        echo "select count(*) from bloom.lease_next('w', null, $n)" ;;
    submit) echo "select bloom.task_submit('c', 'a', repeat('x', 150))" ;;
    beat) echo "select bloom.worker_beat('b', $session, (select jsonb_agg(jsonb_build_object('lease_id', lease_id))
        from bloom_private.lease where worker_id = 'b'))" | tr '\n' ' ' && echo ;;
    *) echo "one, batch, beat or submit" >&2; exit 2 ;;
    esac
    case $kind in
    one) echo "select c.task_status from (select task_id, lease_id from bloom_private.lease where worker_id = 'w' limit 1) l, bloom.lease_complete(l.task_id, l.lease_id, 'success', 'done') c" ;;
    batch) echo "select count(*) from (select array_agg(task_id) t, array_agg(lease_id) l, array_agg('success'::text) s, array_agg('done'::text) o, jsonb_agg('{}'::jsonb) p from bloom_private.lease where worker_id = 'w') x, bloom.lease_complete_many(x.t, x.l, x.s, x.o, x.p)" ;;
    esac
}
counted() {
    for _ in $(seq "$1"); do calls; done >"$dir/calls.sql"
    as "rm -rf $dir/copy && cp -a $dir/data $dir/copy && valgrind --tool=callgrind \
        --callgrind-out-file=$dir/callgrind.$1 $bin/postgres --single -D $dir/copy -c fsync=off postgres \
        <$dir/calls.sql >$dir/out 2>&1"
    if grep -q ERROR "$dir/out"; then grep ERROR "$dir/out" >&2; exit 1; fi
    awk '/Collected/ { print $NF }' "$dir/out"
}
once=$(counted "$count") twice=$(counted $((2 * count)))
echo "$kind: $(((twice - once) / count / 1000)) thousand instructions"
