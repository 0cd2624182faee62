create or replace function bloom.task_cancel(p_task_id uuid, p_options jsonb default '{}')
returns text
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Cancels a task and returns its status now. One that waits is cancelled at once. One that is
-- leased is asked for: its worker learns it with the next beat, and its lease cannot be renewed
-- past the deadline. Cancelling a cancelled task, or asking again, changes nothing.
--   p_options  reason (text), grace_seconds (1–3600, 60) until the lease ends by itself, actor
-- Lock order: the state row, context_slot. Writes: ready | deferred | parked -> finished, or
-- lease; event. Raises RT400, RT404, RT409 wrong_status.
declare
    v_actor text;
    v_reason text;
    v_grace integer;
    v_status text;
begin
    perform check_options(p_options, array['reason', 'grace_seconds', 'actor']);
    v_actor := actor(p_options);
    v_grace := option_integer(p_options, 'grace_seconds', 60, 1, 3600);
    v_reason := coalesce(option_text(p_options, 'reason', null, 2000), 'cancelled');
    v_status := task_stop(p_task_id, v_actor, jsonb_build_object('reason', v_reason),
        make_interval(secs => v_grace));
    if v_status is null then
        perform task_missing(p_task_id);
    elsif v_status in ('completed', 'dead') then
        perform refuse(409, 'wrong_status', format('Cannot cancel task with status ''%s''',
            v_status), jsonb_build_object('task_id', p_task_id, 'status', v_status));
    elsif v_status = 'cancelled' then
        perform context_pass_on(array[p_task_id]);
    end if;
    return v_status;
end
$$;
comment on function bloom.task_cancel(uuid, jsonb) is 'Cancels a task, or asks its worker to stop.';
