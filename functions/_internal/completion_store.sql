create or replace function bloom_private.completion_store(
    p_lease bloom_private.lease, p_given bloom_private.completion, p_output text
) returns text
language plpgsql volatile as $$
-- Writes a result: the artifact, the ended attempt, the conversation, and the task's next state,
-- which it returns.
declare
    v_task record;
    v_status text;
    v_reason text;
    v_detail jsonb;
    v_stopped_at timestamptz;
    v_actor text := coalesce(p_given.actor, actor_of_worker(p_lease.worker_id));
begin
    select serial, policy, max_attempts into strict v_task
      from task where task_id = p_lease.task_id;
    if p_lease.cancel_requested_at is not null and (p_given.stopped -> 'tree_gone')::boolean then
        v_stopped_at := p_given.at;
    end if;
    if p_given.status = 'success' then
        v_status := 'completed';
    elsif p_lease.cancel_requested_at is not null then
        v_status := 'cancelled';
        v_reason := case when v_stopped_at is null then 'cancelled_unproven' else 'cancelled' end;
    elsif p_given.retryable and p_lease.attempts < v_task.max_attempts then
        v_status := 'failed';
    else
        v_status := 'dead';
        v_reason := case when p_given.retryable then 'attempts_exhausted' else 'not_retryable' end;
    end if;
    if num_nonnulls(v_reason, p_given.stopped, p_given.conversation) > 0 then
        v_detail := nullif(jsonb_strip_nulls(jsonb_build_object('reason', v_reason,
            'stopped', p_given.stopped, 'conversation',
            case when v_status = 'completed' then p_given.conversation end)), '{}');
    end if;

    insert into artifact (artifact_id, task_id, lease_id, type, tags, content, size_bytes,
        created_at)
    values (p_given.artifact_id, p_lease.task_id, p_lease.lease_id, p_given.artifact_type,
        p_given.artifact_tags, p_output, coalesce(octet_length(p_output), 0), p_given.at);
    insert into attempt (task_id, fence, lease_id, worker_id, session_id, epoch, attempt,
        started_at, running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome,
        result_status, error_message, metrics, artifact_id, digest, cancel_requested_at,
        cancel_delivered_at, cancel_stopped_at)
    values (p_lease.task_id, p_lease.fence, p_lease.lease_id, p_lease.worker_id,
        p_lease.session_id, p_lease.epoch, p_lease.attempts, p_lease.started_at,
        p_lease.running_at, p_given.at, p_lease.expires_at, p_lease.last_heartbeat,
        p_lease.ttl_seconds, case when v_status = 'dead' then 'failed' else v_status end,
        p_given.status, p_given.error_message, p_given.metrics, p_given.artifact_id,
        p_given.digest, p_lease.cancel_requested_at, p_lease.cancel_delivered_at, v_stopped_at);
    perform slots_free(array[p_lease]);

    if v_status = 'failed' then
        insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, run_at)
        values (p_lease.task_id, p_lease.queue, 'failed', p_lease.ver + 1, p_lease.epoch,
            p_lease.fence, p_lease.attempts, p_lease.crashes, 'failed', p_lease.status, v_actor,
            p_lease.lease_id, p_lease.worker_id, v_detail,
            p_given.at + backoff(v_task.policy, p_lease.attempts));
        return v_status;
    end if;
    insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
        prior, actor, lease_id, worker_id, detail, finished_at, cancel_requested_at,
        cancel_delivered_at, cancel_stopped_at)
    values (p_lease.task_id, p_lease.queue, v_status, p_lease.ver + 1, p_lease.epoch,
        p_lease.fence, p_lease.attempts, p_lease.crashes, v_status, p_lease.status, v_actor,
        p_lease.lease_id, p_lease.worker_id, v_detail, p_given.at, p_lease.cancel_requested_at,
        p_lease.cancel_delivered_at, v_stopped_at);
    if v_status = 'completed' and p_given.conversation is not null then
        perform conversation_store(p_lease, p_given.conversation ->> 'session_id', p_given.at);
    end if;
    if v_task.serial then
        perform context_pass_on(array[p_lease.task_id]);
    end if;
    return v_status;
end
$$;
comment on function bloom_private.completion_store(
    bloom_private.lease, bloom_private.completion, text) is
    'Writes a result and the next state of its task.';
