create or replace function bloom_private.attempts_record(
    p_leases bloom_private.lease[], p_outcome text, p_detail jsonb
) returns void
language sql volatile as $$
-- Writes the history of leases that ended without a result.
insert into attempt (task_id, fence, lease_id, worker_id, session_id, epoch, attempt, started_at,
    running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome, error_message,
    cancel_requested_at, cancel_delivered_at, cancel_stopped_at)
select l.task_id, l.fence, l.lease_id, l.worker_id, l.session_id, l.epoch, l.attempts,
    l.started_at, l.running_at, e.at, l.expires_at, l.last_heartbeat, l.ttl_seconds,
    p_outcome, p_detail ->> 'reason', l.cancel_requested_at, l.cancel_delivered_at,
    case when cancel_is_proven(l, p_detail) then e.at end
  from unnest(p_leases) l cross join lateral lease_end(l) e(at)
$$;
comment on function bloom_private.attempts_record(bloom_private.lease[], text, jsonb) is
    'Writes the history of leases that ended without a result.';
