create or replace function bloom_private.explain_lease(t bloom.task_row) returns jsonb
language sql stable as $$
-- A task that a worker has.
select jsonb_build_object(
    'reason', case when l.cancel_requested_at is not null then 'cancelling'
                   when lease_expiry(l) < clock_timestamp() then 'lease_expired'
                   else l.status end,
    'sentence', case
        when l.cancel_requested_at is not null
            then format('Cancel requested; worker %s has until %s to stop', l.worker_id,
                time_text(l.cancel_deadline))
        when lease_expiry(l) < clock_timestamp()
            then format('The lease of worker %s ran out at %s; it will be taken back', l.worker_id,
                time_text(lease_expiry(l)))
        when l.status = 'leased'
            then format('Leased to worker %s, which has not begun yet', l.worker_id)
        else format('Running on worker %s since %s', l.worker_id, time_text(l.running_at)) end,
    'data', jsonb_build_object('worker_id', l.worker_id, 'lease_id', l.lease_id,
        'fence', l.fence, 'started_at', time_ms(l.started_at),
        'expires_at', time_ms(lease_expiry(l)),
        'cancel_requested_at', time_ms(l.cancel_requested_at),
        'cancel_delivered_at', time_ms(l.cancel_delivered_at)))
  from lease l where l.task_id = t.task_id
$$;
comment on function bloom_private.explain_lease(bloom.task_row) is
    'Explains a task that a worker has.';
