create or replace function bloom_private.event_text(e bloom_private.event) returns text
language sql stable as $$
-- What a seal covers of an event: these columns in this order, for ever. at is in microseconds.
select jsonb_build_array(e.xid::text, e.seq, (extract(epoch from e.at) * 1000000)::bigint, e.cause,
    e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch, e.fence, e.attempts, e.crashes,
    e.lease_id, e.worker_id, e.subject, e.actor, e.detail)::text
$$;
comment on function bloom_private.event_text(bloom_private.event) is
    'The text of an event that its seal covers.';
