create or replace function bloom_private.status_deltas(p_from xid8, p_to xid8)
returns table (queue text, status text, tasks bigint, entered bigint)
language sql stable as $$
-- What the events of transactions p_from ≤ xid < p_to (null: no end) did to the counts.
select d.queue, d.status, d.tasks, d.entered
  from groups_deltas(array(select g from event_groups(p_from, p_to) g)) d
$$;
comment on function bloom_private.status_deltas(xid8, xid8) is
    'What a stretch of the event log did to the counts.';
