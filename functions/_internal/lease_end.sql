create or replace function bloom_private.lease_end(l bloom_private.lease) returns timestamptz
language sql volatile as $$
-- The moment at which a lease ends that is ended now: never before the steps of its cancel,
-- whatever the clock does.
select greatest(clock_timestamp(), l.cancel_requested_at, l.cancel_delivered_at)
$$;
comment on function bloom_private.lease_end(bloom_private.lease) is
    'The moment at which a lease ends that is ended now.';
