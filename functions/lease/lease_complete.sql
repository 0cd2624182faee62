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
    v_lease lease;
begin
    if p_lease_id is null then
        perform lease_named(p_lease_id);
    end if;
    v_given := completion_read(p_status, p_output, p_options);
    delete from lease l
     where l.task_id = p_task_id
       and (l.lease_id = p_lease_id
            or p_lease_id is null and lease_expiry(l) > clock_timestamp())
       and (v_given.worker_id is null or l.worker_id = v_given.worker_id)
    returning * into v_lease;
    if not found then
        return query select * from completion_replay(p_task_id, p_lease_id, v_given.digest);
        return;
    end if;
    -- The report may have waited for the lease's row, and clocks may step back: an end comes last.
    v_given.at := greatest(v_given.at, v_lease.cancel_requested_at, v_lease.cancel_delivered_at);
    return query
        select v_lease.task_id,
               (completions_store(array[v_lease], array[v_given], array[p_output]))[1],
               v_lease.lease_id, v_lease.worker_id, v_given.artifact_id, v_given.at, false;
end
$$;
comment on function bloom.lease_complete(uuid, uuid, text, text, jsonb) is
    'Ends a lease with its result.';
