create or replace function bloom_private.task_restart(p_task_id uuid, p_actor text) returns text
language plpgsql volatile as $$
-- Queues a failed, dead or cancelled task anew and returns null; the status of a task that is none
-- of these; 'missing' where there is no such task.
-- Lock order: the state row, context_slot, lane.
declare
    v_was record;
    v_task task;
begin
    with f as (
        delete from finished where task_id = p_task_id and status in ('dead', 'cancelled')
        returning status, ver, epoch, fence
    ), d as (
        delete from deferred where task_id = p_task_id and status = 'failed'
        returning status, ver, epoch, fence
    )
    select * into v_was from (select * from f union all select * from d) w;
    -- Not before: only while the state row is ours does the priority stay what it is.
    select * into v_task from task where task_id = p_task_id;
    if not found then
        return 'missing';
    elsif v_was.ver is null then
        return coalesce((select status from task_place(p_task_id)), 'unknown');
    end if;
    if v_task.serial and not context_acquire(v_task.context_id, p_task_id) then
        insert into parked (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior,
            actor, context_id)
        values (p_task_id, v_task.queue, v_was.ver + 1, v_was.epoch + 1, v_was.fence, 0, 0,
            'requeued', v_was.status, p_actor, v_task.context_id);
    else
        insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior,
            actor, lane_id, context_id)
        values (p_task_id, v_task.queue, v_was.ver + 1, v_was.epoch + 1, v_was.fence, 0, 0,
            'requeued', v_was.status, p_actor,
            lane_of(v_task.queue, v_task.requires, v_task.priority, false), v_task.context_id);
    end if;
    return null;
end
$$;
comment on function bloom_private.task_restart(uuid, text) is
    'Queues a failed, dead or cancelled task anew.';
