create or replace function bloom_private.waiting_end(
    p_task_id uuid, p_actor text, p_detail jsonb
) returns boolean
language plpgsql volatile as $$
-- Cancels a task that waits (ready, deferred or parked); false where it does not. The CTEs all run,
-- and at most one of them finds the row.
begin
    with r as (
        delete from ready where task_id = p_task_id
        returning task_id, queue, status, ver, epoch, fence, attempts, crashes
    ), d as (
        delete from deferred where task_id = p_task_id
        returning task_id, queue, status, ver, epoch, fence, attempts, crashes
    ), p as (
        delete from parked where task_id = p_task_id
        returning task_id, queue, status, ver, epoch, fence, attempts, crashes
    )
    insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
        prior, actor, detail)
    select w.task_id, w.queue, 'cancelled', w.ver + 1, w.epoch, w.fence, w.attempts, w.crashes,
        'cancelled', w.status, p_actor, p_detail
      from (select * from r union all select * from d union all select * from p) w;
    return found;
end
$$;
comment on function bloom_private.waiting_end(uuid, text, jsonb) is 'Cancels a task that waits.';
