-- The contract's entities for people who read with SQL, named as operators know them. SELECT is
-- granted to bloom_reader. Times are timestamptz here; on the wire they are epoch milliseconds.

create or replace view bloom.llm_tasks as
select t.task_id as id, t.context_id, t.agent_slug, t.prompt, t.context_hints, t.policy,
    t.desired_format, s.status, t.created_at, s.updated_at, s.lease_id, s.worker_id, s.attempts,
    t.max_attempts, t.queue, t.priority, t.requires, s.crashes, t.max_crashes, s.ver, s.epoch,
    s.fence, s.run_at, t.idempotency_key, t.created_by
  from bloom_private.task t
  join (
    select task_id, status, ready_at as updated_at, null::uuid as lease_id,
           null::text as worker_id, attempts, crashes, ver, epoch, fence,
           null::timestamptz as run_at from bloom_private.ready
    union all
    select task_id, status, since, lease_id, worker_id, attempts, crashes, ver, epoch, fence,
           run_at from bloom_private.deferred
    union all
    select task_id, status, since, null, null, attempts, crashes, ver, epoch, fence, null
      from bloom_private.parked
    union all
    select task_id, status, last_heartbeat, lease_id, worker_id, attempts, crashes, ver, epoch,
           fence, null from bloom_private.lease
    union all
    select task_id, status, finished_at, lease_id, worker_id, attempts, crashes, ver, epoch,
           fence, null from bloom_private.finished) s using (task_id);

create or replace view bloom.leases as
select l.lease_id as id, l.task_id, l.worker_id, l.session_id, l.started_at,
    least(l.cancel_deadline, l.unlisted_at + interval '30 seconds', greatest(l.expires_at,
        s.beat_at + make_interval(secs => l.ttl_seconds))) as expires_at,
    l.ttl_seconds, 'active'::text as status,
    greatest(l.last_heartbeat, s.beat_at) as last_heartbeat,
    l.context_id, l.fence, l.attempts as attempt, null::timestamptz as ended_at
  from bloom_private.lease l left join bloom_private.worker_session s using (session_id)
union all
select a.lease_id, a.task_id, a.worker_id, a.session_id, a.started_at, a.expires_at,
    a.ttl_seconds, case a.outcome when 'expired' then 'expired' when 'failed' then 'failed'
        else 'released' end,
    a.last_heartbeat, t.context_id, a.fence, a.attempt, a.ended_at
  from bloom_private.attempt a join bloom_private.task t using (task_id);

create or replace view bloom.workers as
select w.worker_id as id, w.worker_id as node_id, w.url, w.status, w.claude_cli,
    s.max_concurrency, w.labels, w.last_seen_at as last_heartbeat, w.ip_addrs, w.obs_count,
    w.db_sha, w.registered_at, s.active as active_leases, w.agent_version, w.os_info,
    w.install_method, w.draining, coalesce(w.credential, 'worker:' || w.worker_id) as credential,
    (select c.exhausted_until from bloom_private.credential c
      where c.name = coalesce(w.credential, 'worker:' || w.worker_id)
        and c.exhausted_until > clock_timestamp()) as credential_exhausted_until
  from bloom_private.worker w join bloom_private.worker_slot s using (worker_id);

create or replace view bloom.runtime_artifacts as
select artifact_id as id, task_id, type, created_at, url, tags, content, size_bytes, lease_id,
    encode(sha256, 'hex') as sha256
  from bloom_private.artifact;

create or replace view bloom.llm_results as
select a.lease_id as id, a.task_id, a.worker_id, a.artifact_id, a.result_status as status,
    f.content as output, a.error_message, a.metrics, a.ended_at as completed_at,
    f.url as output_url
  from bloom_private.attempt a left join bloom_private.artifact f using (artifact_id)
 where a.result_status is not null;

create or replace view bloom.audit_logs as
select lpad(to_hex(e.xid::text::bigint), 16, '0') || '-' || lpad(to_hex(e.seq), 16, '0') as id,
    e.at as timestamp, e.cause as action,
    case when e.task_id is not null then 'llm_task' else split_part(e.subject, '/', 1) end
        as entity_type,
    coalesce(e.task_id::text, substring(e.subject from position('/' in e.subject) + 1))
        as entity_id,
    e.actor, e.ver, e.prior, e.status, e.lease_id, e.fence, e.worker_id, e.detail
  from bloom_private.event e;

create or replace view bloom.runtime_settings as
select key,
    case when key !~* '(key|secret|token|password|membridge)' then value end as value,
    updated_at, updated_by
  from bloom_private.setting;
