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
    v_status text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    v_status := task_restart(p_task_id, v_actor);
    if v_status = 'missing' then
        perform task_missing(p_task_id);
    elsif v_status is not null then
        perform refuse(409, 'wrong_status', format('Cannot requeue task with status ''%s''',
            v_status), jsonb_build_object('task_id', p_task_id, 'status', v_status));
    end if;
    return 'queued';
end
$$;
comment on function bloom.task_requeue(uuid, jsonb) is
    'Starts a failed, dead or cancelled task anew.';
