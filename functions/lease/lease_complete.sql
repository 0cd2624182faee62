create or replace function bloom.lease_complete(
    p_task_id uuid, p_lease_id uuid, p_status text, p_output text default null,
    p_options jsonb default '{}'
) returns table (task_id uuid, task_status text, lease_id uuid, worker_id text, artifact_id uuid,
    completed_at timestamptz, replayed boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Ends a lease with its result. success: the task is completed. error: it is failed and comes back
-- after a backoff, or dead (no attempt left, or not retryable), or cancelled if that was asked for.
-- The same call again answers the same (replayed true).
--   p_lease_id  may be null for the service: then the current lease, while it has not run out
--   p_options   error_message, metrics {duration_ms, tokens_used}, artifact_type ("LLM_RESULT"),
--               artifact_tags, retryable (true), worker_id (must be the lease's), actor,
--               conversation {session_id, how: new | resumed | forked | moved}: what a success
--               leaves to the next task of its context,
--               stopped {tree_gone, signal: none | SIGTERM | SIGKILL, processes}: how the
--               process tree ended; where a cancel was asked for, tree_gone proves it obeyed
-- Lock order: lease, context_session, context_slot, worker_slot, queue_slot. Writes: lease,
-- artifact, attempt, finished | deferred, context_session, event. Raises RT400, RT404, RT409
-- lease_lost | wrong_status | already_completed.
declare
    v_given completion;
    v_lease_id uuid := p_lease_id;
    v_end record;
begin
    if p_lease_id is null then
        perform lease_named(p_lease_id);
    end if;
    v_given := completion_read(p_status, p_output, p_options);
    if p_lease_id is null then
        v_lease_id := lease_current(p_task_id);
    end if;
    v_end := completions_end(array[p_task_id], array[v_lease_id], array[v_given],
        array[p_output]);
    if v_end.places is null then
        return query select * from completion_replay(p_task_id, p_lease_id, v_given.digest);
    else
        return query select p_task_id, v_end.statuses[1], v_lease_id, v_end.workers[1],
            v_given.artifact_id, v_end.ends[1], false;
    end if;
end
$$;
comment on function bloom.lease_complete(uuid, uuid, text, text, jsonb) is
    'Ends a lease with its result.';
