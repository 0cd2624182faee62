create or replace function bloom.lease_start(
    p_task_id uuid, p_lease_id uuid, p_options jsonb default '{}'
) returns setof bloom.lease_row
language sql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- The work has begun: the same as the first lease_heartbeat, under the name that one looks for.
select * from bloom.lease_heartbeat(p_task_id, p_lease_id, p_options)
$$;
comment on function bloom.lease_start(uuid, uuid, jsonb) is 'Marks a leased task as running.';
