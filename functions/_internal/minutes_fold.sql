create or replace function bloom_private.minutes_fold(
    p_groups bloom_private.event_group[], p_from xid8, p_to xid8
) returns void
language sql volatile as $$
-- Adds a stretch of the event log, and the groups of transitions in it, to what happened in each
-- minute. The counts must have been folded up to p_to before: the present minute's depth is theirs.
with folded as (
    select g.minute,
           sum(g.events) filter (where g.prior is null) as submitted,
           sum(g.events) filter (where g.status = 'completed') as completed,
           sum(g.events) filter (where g.status = 'failed') as failed,
           sum(g.events) filter (where g.status = 'dead') as dead,
           sum(g.events) filter (where g.status = 'cancelled') as cancelled
      from unnest(p_groups) g where g.prior is distinct from g.status group by 1
), present as (
    select date_trunc('minute', clock_timestamp()) as minute, coalesce(sum(c.tasks), 0) as depth
      from status_count c where c.status in ('queued', 'failed')
)
insert into minute_count as m (minute, submitted, completed, failed, dead, cancelled, depth, waits)
select minute, coalesce(f.submitted, 0), coalesce(f.completed, 0), coalesce(f.failed, 0),
       coalesce(f.dead, 0), coalesce(f.cancelled, 0), p.depth, w.waits
  from folded f full join present p using (minute)
  full join waits_counted(p_from, p_to) w using (minute)
    on conflict (minute) do update
   set submitted = m.submitted + excluded.submitted, completed = m.completed + excluded.completed,
       failed = m.failed + excluded.failed, dead = m.dead + excluded.dead,
       cancelled = m.cancelled + excluded.cancelled, depth = coalesce(excluded.depth, m.depth),
       waits = waits_sum(m.waits, excluded.waits)
$$;
comment on function bloom_private.minutes_fold(bloom_private.event_group[], xid8, xid8) is
    'Adds a stretch of the event log to the minutes.';
