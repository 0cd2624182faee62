create or replace function bloom_private.event_deltas(p_from xid8, p_to xid8)
returns table (queue text, cause text, events bigint)
language sql stable
set enable_seqscan = off as $$
-- How often each transition happened in transactions p_from ≤ xid < p_to (null: no end). About the
-- plan see status_deltas.
with window_events as materialized (
    select e.queue, e.cause from event e
     where e.xid >= p_from and (p_to is null or e.xid < p_to) and e.task_id is not null
)
select w.queue, w.cause, count(*) from window_events w group by 1, 2
$$;
comment on function bloom_private.event_deltas(xid8, xid8) is
    'How often each transition happened in a stretch of the event log.';
