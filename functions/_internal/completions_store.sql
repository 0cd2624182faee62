create or replace function bloom_private.completions_store(
    p_leases bloom_private.lease[], p_given bloom_private.completion[], p_outputs text[]
) returns text[]
language plpgsql volatile as $$
-- Writes the results of leases that the caller has just ended, set by set: artifacts, ended
-- attempts, conversations, and each task's next state. Returns these, in order. Lock order:
-- context_session, context_slot, worker_slot, queue_slot, each kind of row in one order, so that
-- two batches do not wait for each other.
declare
    v_statuses text[];
    v_serial uuid[];
    v_n integer;
    v_one completion;
    v_talks boolean := false;
    v_troubles boolean := false;
begin
    foreach v_one in array p_given loop
        v_talks := v_talks or v_one.conversation is not null;
        v_troubles := v_troubles or v_one.status <> 'success';
    end loop;
    with item as materialized (
        select i.n, i.l, i.g, t.serial, t.policy, d.status, d.stopped_at,
            coalesce((i.g).actor, actor_of_worker((i.l).worker_id)) as actor,
            nullif(jsonb_strip_nulls(jsonb_build_object('reason', case
                when d.status = 'cancelled' and d.stopped_at is null then 'cancelled_unproven'
                when d.status = 'cancelled' then 'cancelled'
                when d.status = 'dead' and (i.g).retryable then 'attempts_exhausted'
                when d.status = 'dead' then 'not_retryable' end,
                'stopped', (i.g).stopped, 'conversation',
                case when d.status = 'completed' then (i.g).conversation end)), '{}') as detail
          from (select n, p_leases[n] as l, p_given[n] as g
                  from generate_subscripts(p_leases, 1) n offset 0) i
          join task t on t.task_id = (i.l).task_id
         cross join lateral (select
               case when (i.g).status = 'success' then 'completed'
                    when (i.l).cancel_requested_at is not null then 'cancelled'
                    when (i.g).retryable and (i.l).attempts < t.max_attempts then 'failed'
                    else 'dead' end,
               case when (i.l).cancel_requested_at is not null
                         and ((i.g).stopped -> 'tree_gone')::boolean then (i.g).at end
               offset 0) d(status, stopped_at)
    ), stored as (
        insert into artifact (artifact_id, task_id, lease_id, type, tags, content, size_bytes,
            created_at)
        select (g).artifact_id, (l).task_id, (l).lease_id, (g).artifact_type, (g).artifact_tags,
            p_outputs[n], coalesce(octet_length(p_outputs[n]), 0), (g).at
          from item
    ), recorded as (
        insert into attempt (task_id, fence, lease_id, worker_id, session_id, epoch, attempt,
            started_at, running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome,
            result_status, error_message, metrics, artifact_id, digest, cancel_requested_at,
            cancel_delivered_at, cancel_stopped_at)
        select (l).task_id, (l).fence, (l).lease_id, (l).worker_id, (l).session_id, (l).epoch,
            (l).attempts, (l).started_at, (l).running_at, (g).at, (l).expires_at,
            (l).last_heartbeat, (l).ttl_seconds,
            case when status = 'dead' then 'failed' else status end, (g).status,
            (g).error_message, (g).metrics, (g).artifact_id, (g).digest,
            (l).cancel_requested_at, (l).cancel_delivered_at, stopped_at
          from item
    ), ended as (
        insert into finished (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, finished_at, cancel_requested_at,
            cancel_delivered_at, cancel_stopped_at)
        select (l).task_id, (l).queue, status, (l).ver + 1, (l).epoch, (l).fence, (l).attempts,
            (l).crashes, status, (l).status, actor, (l).lease_id, (l).worker_id, detail, (g).at,
            (l).cancel_requested_at, (l).cancel_delivered_at, stopped_at
          from item where status <> 'failed'
    )
    select array_agg(status order by n),
           array_agg((l).task_id) filter (where serial and status <> 'failed')
      into v_statuses, v_serial from item;
    if v_troubles then
        perform completions_put_off(p_leases, p_given, v_statuses);
    end if;
    if v_talks then
        for v_n in
            select n from generate_subscripts(p_leases, 1) n
             where (p_given[n]).conversation is not null and v_statuses[n] = 'completed'
             order by (p_leases[n]).context_id
        loop
            perform conversation_store(p_leases[v_n], p_given[v_n].conversation ->> 'session_id',
                p_given[v_n].at);
        end loop;
    end if;
    if v_serial is not null then
        perform context_pass_on(v_serial);
    end if;
    -- What others wait for comes last.
    perform slots_free(p_leases);
    return v_statuses;
end
$$;
comment on function bloom_private.completions_store(
    bloom_private.lease[], bloom_private.completion[], text[]) is
    'Writes results and the next states of their tasks.';
