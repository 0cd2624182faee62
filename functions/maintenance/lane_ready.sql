create or replace function bloom.lane_ready()
returns table (queue text, requires text[], tasks bigint)
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The sets of requirements for which something is ready now, with up to 100 tasks each, and no
-- more than the queue's limit has room for: what a service with waiters asks every second or so,
-- in case a notification was lost.
select l.queue, l.requires, least(sum(n.tasks)::bigint, min(q.max_running - coalesce(s.running, 0)))
  from lane l join queue q on q.name = l.queue
  left join queue_slot s on s.queue = l.queue
 cross join lateral (select count(*) as tasks from (
       select from ready r where r.lane_id = l.lane_id and r.seq >= l.mark
        order by r.seq limit 100) h) n
 where not q.paused and n.tasks > 0
   and (q.max_running is null or coalesce(s.running, 0) < q.max_running)
 group by 1, 2
$$;
comment on function bloom.lane_ready() is 'What is ready to be leased.';
