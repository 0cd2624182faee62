create or replace function bloom_private.conversation_shown(s bloom_private.context_session)
returns jsonb
language sql stable as $$
-- A context's conversation as workers see it.
select jsonb_build_object('session_id', s.session_id, 'worker_id', s.worker_id,
    'task_id', s.task_id, 'updated_at', bloom_private.time_ms(s.updated_at))
$$;
comment on function bloom_private.conversation_shown(bloom_private.context_session) is
    'A conversation as workers see it.';
