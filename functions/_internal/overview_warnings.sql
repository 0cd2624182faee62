create or replace function bloom_private.overview_warnings(
    p_waiting bigint, p_oldest timestamptz
) returns jsonb
language sql stable
set enable_seqscan = off as $$
-- What an operator should know of, most urgent first: [{code, text}], at most 50.
--   p_waiting  how many tasks wait
--   p_oldest   since when the oldest ready one does
with held as (
    -- The oldest event that readers of the log may not see yet.
    select extract(epoch from clock_timestamp() - h.at)::integer as seconds
      from (select e.at from event e where e.xid >= pg_snapshot_xmin(pg_current_snapshot())
             order by e.xid, e.seq limit 1) h
), warnings (urgency, code, text) as (
    select 1, 'no_workers', format('%s tasks wait, and no worker is online', p_waiting)
     where p_waiting > 0 and not exists (select from worker where status = 'online')
    union all
    select 2, 'transaction_held', format('A transaction has been open for %s s: event streams, '
               'webhooks and counts wait for it', h.seconds)
      from held h where h.seconds > 60
    union all
    select 3, 'queue_paused', format('Queue %s is paused, and %s of its tasks wait', q.name,
               c.tasks)
      from (select c.queue, sum(c.tasks) as tasks from status_count c
             where c.status in ('queued', 'failed') group by 1) c
      join queue q on q.name = c.queue where q.paused and c.tasks > 0
    union all
    select 4, 'credential_exhausted', format('Credential %s is used up until %s', c.name,
               time_text(c.exhausted_until))
      from credential c where c.exhausted_until > clock_timestamp()
    union all
    select 5, 'webhook_failing', format('Webhook %s %s: %s', r.name, case when r.paused
               then 'was paused, for it failed again and again' else 'fails' end,
               coalesce(r.last_error, 'no answer'))
      from webhook_rows(null) r
     where r.paused_why = 'failing' or not r.paused and r.attempts >= 3
    union all
    select 6, 'waiting_long', format('The oldest ready task has waited for %s min',
               extract(epoch from clock_timestamp() - p_oldest)::integer / 60)
     where p_oldest < clock_timestamp() - interval '10 minutes'
       and exists (select from worker where status = 'online')
)
select coalesce(jsonb_agg(jsonb_build_object('code', w.code, 'text', w.text)
           order by w.urgency, w.text), '[]')
  from (select * from warnings order by urgency, text limit 50) w
$$;
comment on function bloom_private.overview_warnings(bigint, timestamptz) is
    'What an operator should know of.';
