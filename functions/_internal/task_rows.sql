create or replace function bloom_private.task_rows(p_ids uuid[]) returns setof bloom.task_row
language sql stable as $$
-- Tasks as clients see them, newest first. Each table is asked by its key.
select t.task_id, t.context_id, t.agent_slug, t.prompt, t.context_hints, t.policy,
    t.desired_format, s.status, t.created_at, s.updated_at, s.lease_id, s.worker_id, s.attempts,
    t.max_attempts, t.queue, t.priority, t.requires, s.crashes, t.max_crashes, s.fence, s.ver,
    s.epoch, s.run_at, s.retry_at, s.finished_at, s.reason, s.cancel_requested_at,
    s.cancel_delivered_at, s.cancel_stopped_at, t.idempotency_key, t.created_by, p.progress,
    p.usage,
    (select c.worker_id from context_session c where c.context_id = t.context_id)
  from unnest(p_ids) i(id)
 cross join lateral task_of(i.id) t
 cross join lateral (
       select r.status, r.ready_at as updated_at, null::uuid as lease_id, null::text as worker_id,
              r.attempts, r.crashes, r.fence, r.ver, r.epoch, null::timestamptz as run_at,
              null::timestamptz as retry_at, null::timestamptz as finished_at,
              null::text as reason, null::timestamptz as cancel_requested_at,
              null::timestamptz as cancel_delivered_at, null::timestamptz as cancel_stopped_at
         from ready r where r.task_id = i.id
       union all
       select d.status, d.since, d.lease_id, d.worker_id, d.attempts, d.crashes, d.fence, d.ver,
              d.epoch, case d.status when 'queued' then d.run_at end,
              case d.status when 'failed' then d.run_at end, null, null, null, null, null
         from deferred d where d.task_id = i.id
       union all
       select p.status, p.since, null, null, p.attempts, p.crashes, p.fence, p.ver, p.epoch, null,
              null, null, null, null, null, null
         from parked p where p.task_id = i.id
       union all
       select l.status, greatest(l.last_heartbeat, l.cancel_requested_at, l.cancel_delivered_at),
              l.lease_id, l.worker_id, l.attempts, l.crashes, l.fence, l.ver, l.epoch, null, null,
              null, null, l.cancel_requested_at, l.cancel_delivered_at, null
         from lease l where l.task_id = i.id
       union all
       select f.status, f.finished_at, f.lease_id, f.worker_id, f.attempts, f.crashes, f.fence,
              f.ver, f.epoch, null, null, f.finished_at, f.detail ->> 'reason',
              f.cancel_requested_at, f.cancel_delivered_at, f.cancel_stopped_at
         from finished f where f.task_id = i.id) s
  left join progress p on p.task_id = t.task_id and p.lease_id = s.lease_id
       and s.status in ('leased', 'running')
 order by t.task_id desc
$$;
comment on function bloom_private.task_rows(uuid[]) is 'Tasks as clients see them.';
