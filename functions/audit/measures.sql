create or replace function bloom.measures() returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off as $$
-- What a monitoring system asks for every few seconds: {"queues": [{"queue", "paused", "tasks" by
-- status, "oldest_seconds" by status}], "events": [{"queue", "cause", "events"}], "leases_active",
-- "workers" by status, "worker_slots", "credentials_exhausted", "stale_refused",
-- "log_lag_seconds", "notify_queue"}. Never counts a large table: events that are not folded yet
-- are added while they are few, that is while nothing holds the fold back.
declare
    v_now timestamptz := clock_timestamp();
    v_folded xid8 := (select xid from log_cursor where name = 'status_count');
    v_lag float8 := coalesce(extract(epoch from v_now - (select e.at from event e
        where e.xid >= v_folded order by e.xid, e.seq limit 1)), 0);
    v_is_short boolean := v_lag < 30;
    v_queues jsonb;
    v_events jsonb;
begin
    with tasks as (
        select x.queue, jsonb_object_agg(x.status, x.tasks) as tasks
          from (select u.queue, u.status, sum(u.tasks) as tasks
                  from (select c.queue, c.status, c.tasks from status_count c
                        union all
                        select d.queue, d.status, d.tasks from status_deltas(v_folded, null) d
                         where v_is_short) u group by 1, 2) x
         group by 1
    ), oldest as (
        select l.queue, 'queued' as status, min(h.ready_at) as since
          from lane l cross join lateral (
               select r.ready_at from ready r where r.lane_id = l.lane_id and r.seq >= l.mark
                order by r.seq limit 1) h group by 1
        union all
        select l.queue, l.status, min(l.started_at) from lease l group by 1, 2
        union all
        -- Of those that come back first; more are not looked at.
        select f.queue, 'failed', min(f.since)
          from (select d.queue, d.since from deferred d where d.status = 'failed'
                 order by d.run_at limit 10000) f group by 1
    ), ages as (
        select o.queue, jsonb_object_agg(o.status,
            round(extract(epoch from greatest(v_now - o.since, '0'))::numeric, 3)) as ages
          from oldest o group by 1
    )
    select jsonb_agg(jsonb_build_object('queue', q.name, 'paused', q.paused,
               'tasks', coalesce(t.tasks, '{}'), 'oldest_seconds', coalesce(a.ages, '{}'))
               order by q.name)
      into v_queues
      from queue q left join tasks t on t.queue = q.name left join ages a on a.queue = q.name;
    select jsonb_agg(jsonb_build_object('queue', x.queue, 'cause', x.cause, 'events', x.events)
               order by x.queue, x.cause)
      into v_events
      from (select u.queue, u.cause, sum(u.events) as events
              from (select c.queue, c.cause, c.events from event_count c
                    union all
                    select d.queue, d.cause, d.events from event_deltas(v_folded, null) d
                     where v_is_short) u group by 1, 2) x;
    return jsonb_build_object('queues', coalesce(v_queues, '[]'),
        'events', coalesce(v_events, '[]'),
        'leases_active', (select coalesce(sum(active), 0) from worker_slot),
        'workers', (select coalesce(jsonb_object_agg(w.status, w.n), '{}')
            from (select status, count(*) as n from worker group by 1) w),
        'worker_slots', (select coalesce(sum(s.max_concurrency), 0)
            from worker_slot s join worker w using (worker_id)
           where w.status = 'online' and not w.draining),
        'credentials_exhausted', (select count(*) from credential where exhausted_until > v_now),
        'stale_refused', (select case when is_called then last_value else 0 end
            from stale_refused),
        'log_lag_seconds', greatest(v_lag, 0), 'notify_queue', pg_notification_queue_usage());
end
$$;
comment on function bloom.measures() is 'The numbers of the queue, for monitoring.';
