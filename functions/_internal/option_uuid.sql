create or replace function bloom_private.option_uuid(p_options jsonb, p_key text) returns uuid
language plpgsql immutable as $$
-- A UUID option. Absent or null gives null.
declare
    v_text text := bloom_private.option_text(p_options, p_key, null, 64);
begin
    if v_text !~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' then
        perform bloom_private.refuse_field(p_key, 'Invalid uuid');
    end if;
    return v_text::uuid;
end
$$;
comment on function bloom_private.option_uuid(jsonb, text) is 'Reads a UUID option.';
