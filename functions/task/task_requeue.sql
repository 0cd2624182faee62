create or replace function bloom.task_requeue(p_task_id uuid, p_options jsonb default '{}')
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Starts a failed, dead or cancelled task anew: epoch + 1, both counters at 0. Returns 'queued'.
--   p_options  actor
-- Lock order: the state row, context_slot, lane. Writes: finished | deferred -> ready | parked,
-- event. Raises RT400, RT404, RT409 wrong_status.
declare
    v_actor text;
    v_was record;
    v_task task;
    v_status text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    select * into v_task from task where task_id = p_task_id;
    if not found then
        perform task_missing(p_task_id);
    end if;
    with f as (
        delete from finished where task_id = p_task_id and status in ('dead', 'cancelled')
        returning status, ver, epoch, fence
    ), d as (
        delete from deferred where task_id = p_task_id and status = 'failed'
        returning status, ver, epoch, fence
    )
    select * into v_was from (select * from f union all select * from d) w;
    if v_was.ver is null then
        select status into v_status from task_place(p_task_id);
        perform refuse(409, 'wrong_status', format('Cannot requeue task with status ''%s''',
            coalesce(v_status, 'unknown')),
            jsonb_build_object('task_id', p_task_id, 'status', v_status));
    end if;
    if v_task.serial and not context_acquire(v_task.context_id, p_task_id) then
        insert into parked (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior,
            actor, context_id)
        values (p_task_id, v_task.queue, v_was.ver + 1, v_was.epoch + 1, v_was.fence, 0, 0,
            'requeued', v_was.status, v_actor, v_task.context_id);
    else
        insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior,
            actor, lane_id, context_id)
        values (p_task_id, v_task.queue, v_was.ver + 1, v_was.epoch + 1, v_was.fence, 0, 0,
            'requeued', v_was.status, v_actor,
            lane_of(v_task.queue, v_task.requires, v_task.priority, false), v_task.context_id);
    end if;
    return 'queued';
end
$$;
comment on function bloom.task_requeue(uuid, jsonb) is
    'Starts a failed, dead or cancelled task anew.';
