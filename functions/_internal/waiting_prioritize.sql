create or replace function bloom_private.waiting_prioritize(
    p_task bloom_private.task, p_priority smallint, p_actor text
) returns boolean
language plpgsql volatile as $$
-- Writes the state of a queued task anew (ready, deferred or parked), for another priority; false
-- where it is in none of these. The caller has locked the task's row, and with that this
-- transaction has its id: lane_advance counts on it.
declare
    v_detail jsonb := jsonb_build_object('from', p_task.priority, 'to', p_priority);
begin
    with w as (
        delete from ready where task_id = p_task.task_id returning *
    )
    insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior, actor,
        detail, lane_id, context_id, ready_at)
    select w.task_id, w.queue, w.ver + 1, w.epoch, w.fence, w.attempts, w.crashes, 'prioritized',
        w.status, p_actor, v_detail,
        lane_of(w.queue, p_task.requires, p_priority, l.returned), w.context_id, w.ready_at
      from w join lane l using (lane_id);
    if found then
        return true;
    end if;
    with w as (
        delete from deferred where task_id = p_task.task_id and status = 'queued' returning *
    )
    insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
        prior, actor, detail, run_at, since)
    select w.task_id, w.queue, w.status, w.ver + 1, w.epoch, w.fence, w.attempts, w.crashes,
        'prioritized', w.status, p_actor, v_detail, w.run_at, w.since from w;
    if found then
        return true;
    end if;
    with w as (
        delete from parked where task_id = p_task.task_id returning *
    )
    insert into parked (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior, actor,
        detail, context_id, seq, since)
    select w.task_id, w.queue, w.ver + 1, w.epoch, w.fence, w.attempts, w.crashes, 'prioritized',
        w.status, p_actor, v_detail, w.context_id, w.seq, w.since from w;
    return found;
end
$$;
comment on function bloom_private.waiting_prioritize(bloom_private.task, smallint, text) is
    'Writes the state of a queued task anew, for another priority.';
