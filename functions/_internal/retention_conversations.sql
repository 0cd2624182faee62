create or replace function bloom_private.retention_conversations(p_before timestamptz)
returns void
language sql volatile as $$
-- Forgets conversations that have not gone on since, 10,000 at most.
delete from context_session
 where context_id = any (array(select context_id from context_session
        where updated_at < p_before order by updated_at limit 10000))
   and updated_at < p_before
$$;
comment on function bloom_private.retention_conversations(timestamptz) is
    'Forgets old conversations.';
