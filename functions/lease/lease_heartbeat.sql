create or replace function bloom.lease_heartbeat(
    p_task_id uuid, p_lease_id uuid default null, p_options jsonb default '{}'
) returns setof bloom.lease_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- A sign of life for one lease: the task is running from now on, and the lease has its full ttl
-- before it. Workers that beat (worker_beat) need it once, to say that the work has begun.
--   p_lease_id  may be null for the service: then the current lease, while it has not run out
--   p_options   ttl_seconds (the lease's own), worker_id (must be the lease's), actor
-- Lock order: lease. Writes: lease, event. Raises RT400, RT404, RT409 lease_lost.
declare
    v_now timestamptz := clock_timestamp();
    v_actor text;
    v_ttl integer;
    v_worker_id text;
    v_lease lease;
begin
    perform check_options(p_options, array['ttl_seconds', 'worker_id', 'actor']);
    if p_lease_id is null then
        perform lease_named(p_lease_id);
    end if;
    v_ttl := option_integer(p_options, 'ttl_seconds', null, 1, 86400);
    v_worker_id := option_text(p_options, 'worker_id', null, 128);
    v_actor := actor(p_options);
    update lease l
       set ttl_seconds = coalesce(v_ttl, l.ttl_seconds),
           expires_at = v_now + make_interval(secs => coalesce(v_ttl, l.ttl_seconds)),
           last_heartbeat = v_now,
           unlisted_at = null,
           running_at = coalesce(l.running_at, v_now),
           ver = l.ver + (l.status = 'leased')::integer,
           prior = case when l.status = 'leased' then l.status else l.prior end,
           cause = case when l.status = 'leased' then 'running' else l.cause end,
           actor = case when l.status = 'leased' then v_actor else l.actor end,
           detail = case when l.status <> 'leased' then l.detail end,
           status = 'running'
     where l.task_id = p_task_id
       and (l.lease_id = p_lease_id or p_lease_id is null and lease_expiry(l) > v_now)
       and (v_worker_id is null or l.worker_id = v_worker_id)
    returning * into v_lease;
    if not found then
        perform lease_refuse(p_task_id, p_lease_id, 'heartbeat');
    end if;
    return next lease_shown(v_lease);
end
$$;
comment on function bloom.lease_heartbeat(uuid, uuid, jsonb) is
    'Marks a leased task as running and renews its lease.';
