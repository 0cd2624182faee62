create or replace function bloom_private.status_deltas(p_from xid8, p_to xid8)
returns table (queue text, status text, tasks bigint, entered bigint)
language sql stable
set enable_seqscan = off as $$
-- What the events of transactions p_from ≤ xid < p_to (null: no end) did to the counts. The planner
-- cannot know that this is the log's end, takes it for a third of the log, and would read it all.
with window_events as materialized (
    select e.queue, e.prior, e.status from event e
     where e.xid >= p_from and (p_to is null or e.xid < p_to) and e.task_id is not null
)
select d.queue, d.status, sum(d.n)::bigint, sum(greatest(d.n, 0))::bigint
  from (select w.queue, w.status, 1 as n from window_events w
         where w.prior is distinct from w.status or w.prior is null
        union all
        select w.queue, w.prior, -1 from window_events w
         where w.prior is not null and w.prior <> w.status) d
 group by 1, 2
$$;
comment on function bloom_private.status_deltas(xid8, xid8) is
    'What a stretch of the event log did to the counts.';
