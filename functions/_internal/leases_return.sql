create or replace function bloom_private.leases_return(
    p_leases bloom_private.lease[], p_cause text, p_actor text, p_burned boolean, p_detail jsonb
) returns void
language plpgsql volatile as $$
-- The next state of tasks whose leases ended without a result (the caller has deleted them):
-- cancelled where that was asked for, dead where a counter is used up, else ready again, ahead of
-- the queue. p_burned: the attempt counts and is a crash; otherwise it is given back. p_detail: for
-- the audit trail; stopped in it says how the processes ended.
-- Lock order: context_slot, worker_slot, queue_slot: what others wait for comes last. Writes:
-- attempt, finished, ready, event.
declare
    v_over uuid[];
begin
    perform attempts_record(p_leases, p_cause, p_detail);
    with ended as (
        insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, finished_at, cancel_requested_at,
            cancel_delivered_at, cancel_stopped_at)
        select l.task_id, l.queue, s.status, l.ver + 1, l.epoch, l.fence, l.attempts,
            l.crashes + p_burned::integer, s.status, l.status, p_actor, l.lease_id, l.worker_id,
            coalesce(p_detail, '{}') || jsonb_build_object('after', p_cause, 'reason', s.reason),
            e.at, l.cancel_requested_at, l.cancel_delivered_at,
            case when cancel_is_proven(l, p_detail) then e.at end
          from unnest(p_leases) l, lateral task_of(l.task_id) t,
               lateral lease_fate(l, t, p_burned, p_detail) s, lateral lease_end(l) e(at)
         where s.status <> 'queued'
        returning task_id
    )
    select coalesce(array_agg(task_id), '{}') into v_over from ended;
    insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior, actor,
        lease_id, worker_id, detail, lane_id, context_id)
    select l.task_id, l.queue, l.ver + 1, l.epoch, l.fence,
        l.attempts - (not p_burned)::integer, l.crashes + p_burned::integer, p_cause, l.status,
        p_actor, l.lease_id, l.worker_id, p_detail,
        lane_of(t.queue, t.requires, t.priority, true), l.context_id
      from unnest(p_leases) l cross join lateral task_of(l.task_id) t
     where l.task_id <> all (v_over);
    perform context_pass_on(v_over);
    perform slots_free(p_leases);
end
$$;
comment on function bloom_private.leases_return(bloom_private.lease[], text, text, boolean, jsonb)
    is 'Moves tasks whose leases ended without a result to their next state.';
