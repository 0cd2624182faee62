create or replace function bloom_private.lease_grants(
    p_tasks uuid[], p_replayed boolean, p_first uuid, p_last uuid
) returns setof bloom.lease_grant
language sql stable as $$
-- What a worker is handed for each of these leased tasks, oldest lease first. p_replayed: it had
-- them before, so that its beats count; a new lease runs out when it says.
-- p_first, p_last: see uuid_span; behind a fence, else the span alone might be looked up.
select l.lease_id, l.task_id, l.worker_id, l.session_id, l.started_at,
    case when p_replayed then lease_expiry(l) else l.expires_at end,
    l.ttl_seconds, l.last_heartbeat, l.fence, l.attempts, l.status, t.context_id, t.agent_slug,
    t.prompt, t.context_hints, t.policy, t.desired_format, t.created_at, t.max_attempts,
    t.queue, t.priority, t.requires, l.crashes, t.max_crashes, l.ver, l.epoch,
    (select conversation_shown(s) from context_session s where s.context_id = t.context_id),
    p_replayed
  from lease l
 cross join lateral (select k.* from task k
        where k.task_id = l.task_id and k.task_id between p_first and p_last offset 0) t
 where l.task_id = any (p_tasks)
 order by l.lease_id
$$;
comment on function bloom_private.lease_grants(uuid[], boolean, uuid, uuid) is
    'The leases of these tasks with what a worker needs to run them.';
