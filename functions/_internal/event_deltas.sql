create or replace function bloom_private.event_deltas(p_from xid8, p_to xid8)
returns table (queue text, cause text, events bigint)
language sql stable as $$
-- How often each transition happened in transactions p_from ≤ xid < p_to (null: no end).
select g.queue, g.cause, sum(g.events)::bigint from event_groups(p_from, p_to) g group by 1, 2
$$;
comment on function bloom_private.event_deltas(xid8, xid8) is
    'How often each transition happened in a stretch of the event log.';
