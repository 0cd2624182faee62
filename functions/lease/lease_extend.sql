create or replace function bloom.lease_extend(
    p_task_id uuid, p_lease_id uuid, p_ttl_seconds integer, p_options jsonb default '{}'
) returns setof bloom.lease_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Gives a lease p_ttl_seconds (1–86400) from now, whatever its status; never past a cancel
-- deadline. No transition, so no event.
--   p_options  worker_id (must be the lease's)
-- Lock order: lease. Writes: lease. Raises RT400, RT404, RT409 lease_lost.
declare
    v_now timestamptz := clock_timestamp();
    v_worker_id text;
    v_lease lease;
begin
    perform check_options(p_options, array['worker_id']);
    perform check_range('ttl_seconds', p_ttl_seconds, 1, 86400);
    if p_lease_id is null then
        perform refuse_field('lease_id', 'Required');
    end if;
    v_worker_id := option_text(p_options, 'worker_id', null, 128);
    update lease l
       set ttl_seconds = p_ttl_seconds, last_heartbeat = v_now, unlisted_at = null,
           expires_at = v_now + make_interval(secs => p_ttl_seconds)
     where l.task_id = p_task_id and l.lease_id = p_lease_id
       and (v_worker_id is null or l.worker_id = v_worker_id)
    returning * into v_lease;
    if not found then
        perform lease_refuse(p_task_id, p_lease_id, 'extend');
    end if;
    return next lease_shown(v_lease);
end
$$;
comment on function bloom.lease_extend(uuid, uuid, integer, jsonb) is 'Renews one lease.';
