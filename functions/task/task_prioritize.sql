create or replace function bloom.task_prioritize(
    p_task_id uuid, p_priority integer, p_options jsonb default '{}'
) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Gives a queued task another priority (0–9, 0 first), for good: it also holds after a retry or a
-- requeue. Returns 'queued'. A ready task goes to the end of the new lane and keeps the time since
-- which it waits; one that is scheduled or parked keeps its time and its turn. The priority that it
-- has already changes nothing.
--   p_options  actor
-- Lock order: task, the state row, lane. Writes: task.priority (the one thing of a submission that
-- may change); ready, deferred or parked anew; event. Raises RT400, RT404, RT409 wrong_status.
declare
    v_actor text;
    v_task task;
    v_status text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    perform check_range('priority', p_priority, 0, 9);
    select * into v_task from task where task_id = p_task_id for update;
    if not found then
        perform task_missing(p_task_id);
    end if;
    for v_try in 1..3 loop
        if v_task.priority <> p_priority
            and waiting_prioritize(v_task, p_priority::smallint, v_actor)
        then
            update task set priority = p_priority where task_id = p_task_id;
            return 'queued';
        end if;
        select status into v_status from task_place(p_task_id);
        if v_status <> 'queued' then
            perform refuse(409, 'wrong_status',
                format('Cannot change the priority of a task with status ''%s''', v_status),
                jsonb_build_object('task_id', p_task_id, 'status', v_status));
        elsif v_task.priority = p_priority and v_status = 'queued' then
            return v_status;
        end if;
        -- It moved while we looked from table to table. Look again.
    end loop;
    raise exception using errcode = '40001', message = 'the task keeps changing its state';
end
$$;
comment on function bloom.task_prioritize(uuid, integer, jsonb) is
    'Gives a queued task another priority.';
