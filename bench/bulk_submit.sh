#!/bin/sh
# Bulk submission: the verb for many with JSON, against arrays and against COPY into a temporary
# table, each followed by the same checks and the same inserts.
#
#   bench/bulk_submit.sh ADDRESS [ROUNDS]     5 rounds unless said otherwise
#
# ADDRESS is that of a database of its own, where `bloom migrate` has been: it is filled. Needs psql
# as a superuser. What is not the verb is made in schema bulk for the measurement: read_rows checks
# columns as submissions_read checks JSON, and what follows is the verb's own. First the three ways
# have to give the same answers to a batch with bad items, options and repeated keys. Then they take
# turns; a time is from the first byte sent to the answer of the commit. Beside it stands the processor
# time of the server's process, which is steadier where others use the machine, too.
set -eu

address=$1
rounds=${2:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
say() { printf '%s\n' "$1"; }
query() { psql -X -q -At -v ON_ERROR_STOP=1 "$address" "$@"; }

query <<'SQL'
set client_min_messages = warning;
drop schema if exists bulk cascade;
create schema bulk;
create type bulk.item as (
    n integer, context_id text, agent_slug text, prompt text, idempotency_key text, rest jsonb
);
create function bulk.read_rows(p_items bulk.item[]) returns bloom_private.submission[]
language plpgsql volatile as $$
declare
    v_us bigint := now_us();
begin
    return array(
        with given as materialized (select * from unnest(p_items)),
        kind as materialized (
            select k.rest as of, s.* from (select distinct rest from given) k
             cross join lateral submission_try(
                   k.rest || '{"context_id": "c", "agent_slug": "a", "prompt": "p"}') s
        )
        select case when c.is_plain then row(g.context_id, g.agent_slug, g.prompt,
                    k.context_hints, k.policy, k.desired_format, k.queue, k.requires, k.priority,
                    k.max_attempts, k.max_crashes, k.serial, k.run_at, g.idempotency_key,
                    uuid_v7_at(v_us + g.n), true, false, null)::submission
               else submission_try(g.rest || jsonb_build_object('context_id', g.context_id,
                    'agent_slug', g.agent_slug, 'prompt', g.prompt, 'idempotency_key',
                    g.idempotency_key)) end
          from given g left join kind k on k.of = g.rest
         cross join lateral (select coalesce(k.error is null
               and char_length(g.context_id) between 1 and 512
               and char_length(g.agent_slug) between 1 and 255
               and char_length(g.prompt) between 1 and 4194304
               and char_length(coalesce(g.idempotency_key, 'k')) between 1 and 255,
               false) as is_plain offset 0) c
         order by g.n);
end
$$;
create function bulk.submit_rows(p_items bulk.item[])
returns table (ordinal integer, task_id uuid, created boolean, error jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, bulk, pg_temp
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    v_items submission[] := read_rows(p_items);
begin
    return query
        select s.ordinality::integer, case when s.error is null then s.task_id end,
               coalesce(s.is_new, false), s.error
          from submissions_accept(v_items, false, actor('{}'), null) with ordinality s
         order by s.ordinality;
    perform ready_announce(n.queue, n.requires, n.tasks)
       from (select s.queue, s.requires, count(*) as tasks from unnest(v_items) s
              where s.is_new and (s.run_at is null or s.run_at <= clock_timestamp())
              group by 1, 2) n;
end
$$;
-- Processor time of this session so far.
create function bulk.cpu_ms() returns double precision language sql volatile as $$
select split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::double precision / 1e6
$$;
-- Tasks of 150 bytes with contexts, and keys, that are new in each run.
create function bulk.made(p_tasks integer, p_run integer, p_keyed boolean)
returns setof bulk.item language sql stable as $$
select n, p_run || '-' || n, 'agent', repeat('x', 150),
       case when p_keyed then p_run || '-' || n end, '{}'::jsonb
  from generate_series(1, p_tasks) n
$$;
-- What needs more than one look: bad items, options, a key twice, a key with another body.
create function bulk.mixed() returns setof bulk.item
language sql stable as $$
select n, case when n = 3 then '' else 'context-' || context end, 'agent',
       case when n = 4 then '' when n = 8 then 'other' else 'p' end,
       case when n between 6 and 8 then 'key' end,
       case n when 2 then '{"priority": 3, "policy": {"serial": true}}'
              when 5 then '{"priority": 99}'
              when 9 then jsonb_build_object('run_at', now() + interval '1 day') else '{}' end
  from (select case when n in (7, 8) then 6 else n end as context, n from generate_series(1, 9) n) x
$$;
SQL

# One run: a way, a set of tasks, and what is done with the answers.
one() {
    way=$1 from=$2 show=$3
    case $way in
    json) cat <<SQL ;;
select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('context_id', context_id, 'agent_slug',
    agent_slug, 'prompt', prompt, 'idempotency_key', idempotency_key)) || rest order by n) as tasks
  from $from \gset
SQL
    arrays) cat <<SQL ;;
select array_agg(context_id order by n) as c, array_agg(agent_slug order by n) as a,
    array_agg(prompt order by n) as p, array_agg(idempotency_key order by n) as k,
    array_agg(rest order by n) as r from $from \gset
SQL
    copy) say "\copy (select * from $from order by n) to '$dir/tasks' (format binary)" ;;
    esac
    say "select clock_timestamp() as begun, bulk.cpu_ms() as cpu \gset"
    say "begin;"
    [ "$show" = yes ] || say "\o /dev/null"
    columns="ordinal, created, error - 'task_id'"
    [ "$show" = yes ] || columns="*"
    case $way in
    json) cat <<SQL ;;
select $columns from bloom.task_submit_many(:'tasks', '{"atomic": false}');
SQL
    arrays) cat <<SQL ;;
select $columns from bulk.submit_rows(array(select row(n, c, a, p, k, r)::bulk.item
    from unnest(:'c'::text[], :'a'::text[], :'p'::text[], :'k'::text[], :'r'::jsonb[])
         with ordinality x(c, a, p, k, r, n)));
SQL
    copy) cat <<SQL ;;
\\copy stage from '$dir/tasks' (format binary)
select $columns from bulk.submit_rows(array(select row(n, context_id, agent_slug, prompt,
    idempotency_key, rest)::bulk.item from stage));
SQL
    esac
    if [ "$show" = yes ]; then
        say "select cause, count(*) from bloom_private.event group by 1 order by 1;"
        say "select priority, count(*) from bloom_private.ready join bloom_private.lane
            using (lane_id) group by 1 order by 1;"
        say "rollback;"
        return
    fi
    say "commit;"
    say "\o"
    say "select '$4', '$way', extract(epoch from clock_timestamp() - :'begun') * 1000,
        bulk.cpu_ms() - :cpu;"
}
stage="create temp table stage (like bulk.item) on commit delete rows;"

for way in json arrays copy; do
    { say "$stage"; one $way 'bulk.mixed()' yes; } | query >"$dir/$way"
done
cat "$dir/json"
cmp "$dir/json" "$dir/arrays"
cmp "$dir/json" "$dir/copy"

run=$(date +%s)
{
    say "set client_min_messages = warning; $stage"
    for tasks in 1000 10000; do
        for keyed in no yes; do
            say "checkpoint;"
            for round in $(seq 0 "$rounds"); do
                # There and back again: none always follows the same one.
                [ $((round % 2)) = 0 ] && ways='json arrays copy' || ways='copy arrays json'
                for way in $ways; do
                    run=$((run + 1))
                    name="$tasks tasks, keys: $keyed"
                    # The first round only warms up.
                    [ "$round" != 0 ] || name=warm
                    one $way "bulk.made($tasks, $run, '$keyed')" no "$name"
                done
            done
        done
    done
} | query >"$dir/times"

# Medians of one column of the times, and the ratios of the ways.
medians() {
    echo "$2"
    grep -v '^warm' "$dir/times" | cut -d'|' -f"1,2,$1" | sort -t'|' -k1,1 -k2,2 -k3,3n |
        awk -F'|' '
        function put() {
            if (!count) return
            middle[name, way] = (ms[int((count + 1) / 2)] + ms[int(count / 2) + 1]) / 2
            printf "%-24s %-7s %8.1f (%.1f to %.1f)\n", name, way, middle[name, way], ms[1],
                ms[count]
            count = 0
        }
        $1 != name || $2 != way { put(); name = $1; way = $2; names[$1] = 1 }
        { ms[++count] = $3 }
        END {
            put()
            for (name in names)
                printf "%-24s json / arrays %.2f, json / copy %.2f\n", name,
                    middle[name, "json"] / middle[name, "arrays"],
                    middle[name, "json"] / middle[name, "copy"]
        }'
}
medians 3 "ms, median (least to most)"
medians 4 "ms of the processor, median (least to most)"
query -c 'set client_min_messages = warning; drop schema bulk cascade'
