create or replace function bloom_private.refuse_field(p_field text, p_text text) returns void
language plpgsql immutable as $$
-- Ends the statement because an argument or option is wrong (RT400, code invalid_argument).
begin
    perform bloom_private.refuse(400, 'invalid_argument', p_field || ': ' || p_text,
        jsonb_build_object('field', p_field, 'text', p_text));
end
$$;
comment on function bloom_private.refuse_field(text, text) is
    'Raises RT400 for one wrong argument or option.';
