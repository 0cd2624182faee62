create or replace function bloom_private.completions_end(
    p_tasks uuid[], p_leases uuid[], p_given bloom_private.completion[], p_outputs text[],
    out places integer[], out statuses text[], out workers text[], out ends timestamptz[]
)
language plpgsql volatile as $$
#variable_conflict use_column
-- Ends those of the named leases that live, with their results, set by set: artifacts, ended
-- attempts, each task's next state, conversations. Answers, in no order, with the places in the
-- given arrays of those that it ended, the next statuses of their tasks, their workers and the
-- moments of their ends; null if none. Lock order: lease, context_session, context_slot,
-- worker_slot, queue_slot, each kind of row in one order, so that two batches do not wait for each
-- other.
declare
    v_span uuid[] := uuid_span(p_tasks);
    -- As whom the audit trail knows those who do not say: the worker itself, if the service speaks.
    v_actor text := case when not pg_has_role(session_user, 'bloom_admin', 'member')
        then 'sql:' || session_user end;
    v_leases lease[];
    v_serial boolean;
    v_talks boolean;
    v_fails boolean;
begin
    with item as (
        delete from lease l
         using (select * from rows from (unnest(p_tasks), unnest(p_leases), unnest(p_given))
                       with ordinality
                    as r(task, named, result, message, metrics, type, tags, retryable,
                        conversation, stopped, said_worker, said_actor, digest, artifact_id, at,
                        error, n)
                 where r.error is null order by r.task offset 0) r,
               -- A fence: else the span alone might be looked up, and be walked for every row.
               lateral (select k.serial, k.max_attempts from task k
                 where k.task_id = r.task and k.task_id between v_span[1] and v_span[2]
                offset 0) t
         where l.task_id = r.task and l.task_id = any (p_tasks) and l.lease_id = r.named
           and (r.said_worker is null or l.worker_id = r.said_worker)
        returning l as whole, l.task_id, l.queue, l.status, l.ver, l.epoch, l.fence, l.attempts,
            l.crashes, l.lease_id, l.worker_id, l.session_id, l.started_at, l.running_at,
            l.expires_at, l.last_heartbeat, l.ttl_seconds, l.cancel_requested_at,
            l.cancel_delivered_at, r.n, r.result, r.message, r.metrics, r.type, r.tags,
            r.retryable, r.conversation, r.stopped, r.digest, r.artifact_id, t.serial,
            coalesce(r.said_actor, v_actor, l.worker_id) as who,
            -- The report may have waited for the lease's row, and clocks may step back: an end
            -- comes last.
            greatest(r.at, l.cancel_requested_at, l.cancel_delivered_at) as ended_at,
            case when l.cancel_requested_at is not null and (r.stopped -> 'tree_gone')::boolean
                 then greatest(r.at, l.cancel_requested_at, l.cancel_delivered_at)
                 end as stopped_at,
            case when r.result = 'success' then 'completed'
                 when l.cancel_requested_at is not null then 'cancelled'
                 when r.retryable and l.attempts < t.max_attempts then 'failed'
                 else 'dead' end as next
    ), stored as (
        insert into artifact (artifact_id, task_id, lease_id, type, tags, content, size_bytes,
            created_at)
        -- Not carried along: outputs are large.
        select artifact_id, task_id, lease_id, type, tags, p_outputs[n],
            coalesce(octet_length(p_outputs[n]), 0), ended_at
          from item
    ), recorded as (
        insert into attempt (task_id, fence, lease_id, worker_id, session_id, epoch, attempt,
            started_at, running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome,
            result_status, error_message, metrics, artifact_id, digest, cancel_requested_at,
            cancel_delivered_at, cancel_stopped_at)
        select task_id, fence, lease_id, worker_id, session_id, epoch, attempts, started_at,
            running_at, ended_at, expires_at, last_heartbeat, ttl_seconds,
            case when next = 'dead' then 'failed' else next end, result, message, metrics,
            artifact_id, digest, cancel_requested_at, cancel_delivered_at, stopped_at
          from item
    ), ended as (
        insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, finished_at, cancel_requested_at,
            cancel_delivered_at, cancel_stopped_at)
        select task_id, queue, next, ver + 1, epoch, fence, attempts, crashes, next, status,
            who, lease_id, worker_id,
            case when next <> 'completed' or num_nonnulls(stopped, conversation) > 0
                 then completion_detail(next, retryable, stopped_at, stopped, conversation) end,
            ended_at, cancel_requested_at, cancel_delivered_at, stopped_at
          from item where next <> 'failed'
    )
    select array_agg(n), array_agg(next), array_agg(worker_id), array_agg(ended_at),
           array_agg(whole), bool_or(serial and next <> 'failed'),
           bool_or(conversation is not null and next = 'completed'), bool_or(next = 'failed')
      into places, statuses, workers, ends, v_leases, v_serial, v_talks, v_fails
      from item;
    if v_leases is null then
        return;
    end if;
    if v_fails then
        perform completions_put_off(v_leases, places, statuses, ends, p_given);
    end if;
    if v_talks then
        perform conversations_store(v_leases, places, statuses, ends, p_given);
    end if;
    if v_serial then
        perform context_pass_on(array(select v_leases[i].task_id
            from generate_subscripts(statuses, 1) i where statuses[i] <> 'failed'));
    end if;
    -- What others wait for comes last.
    perform slots_free(v_leases);
end
$$;
comment on function bloom_private.completions_end(
    uuid[], uuid[], bloom_private.completion[], text[]) is
    'Ends leases with their results.';
