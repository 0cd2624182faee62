create or replace function bloom_private.event_note(
    p_cause text, p_subject text, p_actor text, p_detail jsonb default null
) returns void
language sql volatile as $$
-- Writes the event of something that is no task: 'worker/NAME', 'queue/NAME', 'setting/KEY',
-- 'key/ID'.
insert into event (cause, subject, actor, detail) values (p_cause, p_subject, p_actor, p_detail)
$$;
comment on function bloom_private.event_note(text, text, text, jsonb) is
    'Writes the event of something that is no task.';
