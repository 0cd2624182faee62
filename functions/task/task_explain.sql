create or replace function bloom.task_explain(p_task_id uuid) returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
-- Why a task is where it is: {"task_id", "status", "reason", "sentence", "data"}. For a task that
-- waits, the reason that it waits. Raises RT404 task_not_found.
-- Never compiled: it has to walk the workers, and what a walk is said to cost here would be a
-- reason to.
declare
    v_task bloom.task_row;
    v_place text;
    v_answer jsonb;
begin
    select * into v_task from task_rows(array[p_task_id]);
    if not found then
        perform task_missing(p_task_id);
    end if;
    select place into v_place from task_place(p_task_id);
    v_answer := case v_place
        when 'deferred' then explain_deferred(v_task)
        when 'parked' then explain_parked(v_task)
        when 'ready' then explain_ready(v_task)
        when 'lease' then explain_lease(v_task)
        else explain_finished(v_task) end;
    return jsonb_build_object('task_id', p_task_id, 'status', v_task.status) || v_answer;
end
$$;
comment on function bloom.task_explain(uuid) is 'Why a task is where it is.';
