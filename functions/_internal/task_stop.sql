create or replace function bloom_private.task_stop(
    p_task_id uuid, p_actor text, p_detail jsonb, p_grace interval
) returns text
language plpgsql volatile as $$
-- Ends a task that waits, or asks for the end of one that is leased. Returns its status then:
-- completed and dead are beyond cancelling, null is no task. The caller passes on the turns of
-- what is cancelled (context_pass_on).
-- Lock order: the state row. Raises 40001 where the task does not hold still.
declare
    v_status text;
    v_asked boolean;
begin
    for v_try in 1..3 loop
        if waiting_end(p_task_id, p_actor, p_detail) then
            return 'cancelled';
        end if;
        update lease
           set ver = ver + 1, cause = 'cancel_requested', prior = status, actor = p_actor,
               detail = p_detail, cancel_requested_at = clock_timestamp(),
               cancel_deadline = clock_timestamp() + p_grace
         where task_id = p_task_id and cancel_requested_at is null;
        v_asked := found;
        select status into v_status from task_place(p_task_id);
        if not found then
            return null;
        elsif v_status in ('cancelled', 'completed', 'dead') or exists (select from lease
            where task_id = p_task_id and cancel_requested_at is not null)
        then
            if not v_asked then
                perform replay_keep();
            end if;
            return v_status;
        end if;
        -- None of these: it moved while we looked from table to table. Look again.
    end loop;
    raise exception using errcode = '40001', message = 'the task keeps changing its state';
end
$$;
comment on function bloom_private.task_stop(uuid, text, jsonb, interval) is
    'Ends a task that waits, or asks for the end of its lease.';
