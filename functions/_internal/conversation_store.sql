create or replace function bloom_private.conversation_store(
    p_lease bloom_private.lease, p_session_id text, p_at timestamptz
) returns void
language sql volatile as $$
-- The context goes on with this conversation, on the worker of this lease. Of results that end at
-- the same time the one that commits last decides. Lock order: context_session.
insert into context_session (context_id, session_id, worker_id, task_id, lease_id, fence,
    updated_at)
values (p_lease.context_id, p_session_id, p_lease.worker_id, p_lease.task_id, p_lease.lease_id,
    p_lease.fence, p_at)
on conflict (context_id) do update
   set session_id = excluded.session_id, worker_id = excluded.worker_id,
       task_id = excluded.task_id, lease_id = excluded.lease_id, fence = excluded.fence,
       updated_at = excluded.updated_at
$$;
comment on function bloom_private.conversation_store(bloom_private.lease, text, timestamptz) is
    'Keeps the conversation that a result names.';
