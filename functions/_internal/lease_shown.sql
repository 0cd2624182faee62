create or replace function bloom_private.lease_shown(l bloom_private.lease)
returns bloom.lease_row
language sql stable as $$
-- A live lease as clients see it.
select l.lease_id, l.task_id, l.worker_id, l.session_id, l.started_at,
    bloom_private.lease_expiry(l), l.ttl_seconds, 'active'::text, l.last_heartbeat, l.context_id,
    l.fence, l.attempts, null::timestamptz, null::text, null::text
$$;
comment on function bloom_private.lease_shown(bloom_private.lease) is
    'A live lease as clients see it.';
