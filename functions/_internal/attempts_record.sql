create or replace function bloom_private.attempts_record(
    p_leases bloom_private.lease[], p_outcome text, p_error_message text
) returns void
language sql volatile as $$
-- Writes the history of leases that ended without a result.
insert into attempt (task_id, fence, lease_id, worker_id, session_id, epoch, attempt, started_at,
    running_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome, error_message,
    cancel_requested_at, cancel_delivered_at)
select l.task_id, l.fence, l.lease_id, l.worker_id, l.session_id, l.epoch, l.attempts,
    l.started_at, l.running_at, clock_timestamp(), l.expires_at, l.last_heartbeat, l.ttl_seconds,
    p_outcome, p_error_message, l.cancel_requested_at, l.cancel_delivered_at
  from unnest(p_leases) l
$$;
comment on function bloom_private.attempts_record(bloom_private.lease[], text, text) is
    'Writes the history of leases that ended without a result.';
