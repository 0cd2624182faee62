create or replace function bloom.audit_note(
    p_action text, p_subject text, p_detail jsonb default null, p_options jsonb default '{}'
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Writes down what was done to something outside of the queue: p_action (1–64 characters) to
-- p_subject ('KIND/ID', 1–300 characters), with an object of facts, at most 8 KiB of it.
--   p_options  actor
-- Writes: event. Raises RT400.
declare
    v_actor text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    perform check_text('action', p_action, 1, 64);
    perform check_text('subject', p_subject, 3, 300);
    if p_subject !~ '^[a-z_]+/.' then
        perform refuse_field('subject', 'Expected KIND/ID');
    end if;
    if jsonb_typeof(p_detail) <> 'object' then
        perform refuse_field('detail', 'Expected object');
    end if;
    perform check_range('detail', coalesce(octet_length(p_detail::text), 0), 0, 8192);
    perform event_note(p_action, p_subject, v_actor, p_detail);
end
$$;
comment on function bloom.audit_note(text, text, jsonb, jsonb) is
    'Writes down what was done outside of the queue.';
