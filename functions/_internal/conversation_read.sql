create or replace function bloom_private.conversation_read(p_conversation jsonb) returns jsonb
language plpgsql immutable as $$
-- Checks the conversation that a result names: session_id (the CLI's, 1–200 characters) and how it
-- came about. Null if absent.
declare
    v_session text;
    v_how text;
begin
    if p_conversation is null or p_conversation = 'null' then
        return null;
    end if;
    if jsonb_typeof(p_conversation) <> 'object' then
        perform bloom_private.refuse_field('conversation', 'Expected object, received '
            || jsonb_typeof(p_conversation));
    end if;
    perform bloom_private.check_options(p_conversation, array['session_id', 'how']);
    v_session := bloom_private.option_text(p_conversation, 'session_id', null, 200);
    perform bloom_private.check_text('session_id', v_session, 1, 200);
    v_how := bloom_private.option_text(p_conversation, 'how', null, 20);
    if v_how is null or v_how not in ('new', 'resumed', 'forked', 'moved') then
        perform bloom_private.refuse_field('how', format('Invalid enum value. Expected ''new'' | '
            '''resumed'' | ''forked'' | ''moved'', received ''%s''', v_how));
    end if;
    return jsonb_build_object('session_id', v_session, 'how', v_how);
end
$$;
comment on function bloom_private.conversation_read(jsonb) is
    'Checks the conversation that a result names.';
