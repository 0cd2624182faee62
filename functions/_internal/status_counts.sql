create or replace function bloom_private.status_counts()
returns table (queue text, status text, tasks bigint, entered bigint)
language sql stable as $$
-- How many tasks have each status, exactly: the folded counts and what the event log says since.
-- Costs as much as there are events since the last status_fold.
select x.queue, x.status, sum(x.tasks)::bigint, sum(x.entered)::bigint
  from (select c.queue, c.status, c.tasks, c.entered from status_count c
        union all
        select d.queue, d.status, d.tasks, d.entered
          from status_deltas((select xid from log_cursor where name = 'status_count'), null) d) x
 group by 1, 2
$$;
comment on function bloom_private.status_counts() is 'How many tasks have each status.';
