create or replace function bloom_private.event_groups(p_from xid8, p_to xid8)
returns setof bloom_private.event_group
language sql stable
set enable_seqscan = off set jit = off as $$
-- How many transitions of each kind the transactions p_from ≤ xid < p_to (null: no end) made. The
-- planner cannot know that this is the log's end, takes it for a third of the log, and would read
-- all of it.
select date_trunc('minute', e.at), e.queue, e.prior, e.status, e.cause, count(*)
  from event e
 where e.xid >= p_from and (p_to is null or e.xid < p_to) and e.task_id is not null
 group by 1, 2, 3, 4, 5
$$;
comment on function bloom_private.event_groups(xid8, xid8) is
    'How many transitions of each kind a stretch of the event log holds.';
