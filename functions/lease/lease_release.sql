create or replace function bloom.lease_release(
    p_task_id uuid, p_lease_id uuid, p_options jsonb default '{}'
) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Gives a lease back without burning the attempt: the task is ready again, ahead of its queue, or
-- cancelled if that was asked for. Returns the task's new status.
--   p_options  reason (text for the audit trail), worker_id (must be the lease's), actor,
--              limited_until (epoch milliseconds): a usage limit was reached; until then no worker
--              with the same credential gets work (see limit_read for what is believed),
--              stopped (see lease_complete)
-- Lock order: lease, context_slot, worker_slot, queue_slot, credential. Writes: lease, attempt,
-- ready | finished, credential, event. Raises RT400, RT404, RT409 lease_lost.
declare
    v_actor text;
    v_worker_id text;
    v_reason text;
    v_until timestamptz;
    v_detail jsonb;
    v_lease lease;
begin
    perform check_options(p_options, array['reason', 'limited_until', 'stopped', 'worker_id',
        'actor']);
    if p_lease_id is null then
        perform refuse_field('lease_id', 'Required');
    end if;
    v_worker_id := option_text(p_options, 'worker_id', null, 128);
    v_reason := option_text(p_options, 'reason', null, 2000);
    v_actor := actor(p_options);
    v_until := limit_read(p_options);
    v_detail := nullif(jsonb_strip_nulls(jsonb_build_object('reason', v_reason,
        'limited_until', time_ms(v_until), 'stopped', stopped_read(p_options -> 'stopped'))), '{}');
    delete from lease l
     where l.task_id = p_task_id and l.lease_id = p_lease_id
       and (v_worker_id is null or l.worker_id = v_worker_id)
    returning * into v_lease;
    if not found then
        perform lease_refuse(p_task_id, p_lease_id, 'release');
    end if;
    perform leases_return(array[v_lease], 'released', v_actor, false, v_detail);
    if v_until is not null then
        perform credential_exhaust(v_lease, v_until, v_reason, v_actor);
    end if;
    return case when v_lease.cancel_requested_at is null then 'queued' else 'cancelled' end;
end
$$;
comment on function bloom.lease_release(uuid, uuid, jsonb) is
    'Gives a lease back without burning the attempt.';
