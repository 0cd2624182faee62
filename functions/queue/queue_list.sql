create or replace function bloom.queue_list() returns setof bloom.queue_row
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- All queues with how many of their tasks have each status (from the folded counts, never by
-- counting tables) and since when the oldest ready task waits.
select q.name, q.paused, q.max_running, q.serial_contexts, q.aging_seconds, q.pin_wait_ms,
    coalesce((select jsonb_object_agg(c.status, c.tasks) from status_counts() c
               where c.queue = q.name and c.tasks <> 0), '{}'),
    (select min(h.ready_at) from lane l cross join lateral (
        select r.ready_at from ready r where r.lane_id = l.lane_id and r.seq >= l.mark
         order by r.seq limit 1) h where l.queue = q.name),
    q.created_at
  from queue q order by q.name
$$;
comment on function bloom.queue_list() is 'All queues.';
