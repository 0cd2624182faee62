create or replace function bloom_private.lanes_open(p_labels text[], p_queues text[])
returns table (lane_id integer, mark bigint, queue text, requires text[], max_running integer,
    pin_wait_ms integer, aging_seconds integer, waited_ms bigint)
language sql stable as $$
-- The lanes that a worker with these labels may take from and that hold something, best first: by
-- priority, improved by one for every aging_seconds that the lane's first task has waited; tasks
-- that came back before others; then the longest wait.
select l.lane_id, l.mark, q.name, l.requires, q.max_running, q.pin_wait_ms,
       q.aging_seconds, head.waited_ms
  from lane l
  join queue q on q.name = l.queue
 cross join lateral (
       select (date_part('epoch', clock_timestamp() - r.ready_at) * 1000)::bigint as waited_ms
         from ready r where r.lane_id = l.lane_id and r.seq >= l.mark
        order by r.seq limit 1) head
 where not q.paused and l.requires <@ p_labels
   and (p_queues is null or l.queue = any (p_queues))
 order by l.priority - head.waited_ms / (q.aging_seconds * 1000), l.returned desc,
       head.waited_ms desc
$$;
comment on function bloom_private.lanes_open(text[], text[]) is
    'The lanes with work for a set of labels, best first.';
