create or replace function bloom_private.lease_fate(
    l bloom_private.lease, t bloom_private.task, p_burned boolean, p_detail jsonb,
    out status text, out reason text
)
language sql immutable as $$
-- What becomes of a task whose lease ended without a result, and why.
select case when l.cancel_requested_at is not null then 'cancelled'
            when p_burned and l.crashes + 1 >= t.max_crashes then 'dead'
            when p_burned and l.attempts >= t.max_attempts then 'dead'
            else 'queued' end,
       case when cancel_is_proven(l, p_detail) then 'cancelled'
            when l.cancel_requested_at is not null then 'cancelled_unproven'
            when p_burned and l.crashes + 1 >= t.max_crashes then 'crashes_exhausted'
            when p_burned and l.attempts >= t.max_attempts then 'attempts_exhausted' end
$$;
comment on function
    bloom_private.lease_fate(bloom_private.lease, bloom_private.task, boolean, jsonb) is
    'The next status of a task whose lease ended without a result.';
