create or replace function bloom_private.option_text(
    p_options jsonb, p_key text, p_default text, p_max integer
) returns text
language plpgsql immutable as $$
-- A text option of at most p_max characters. Absent or null gives the default.
declare
    v_value jsonb := p_options -> p_key;
begin
    if v_value is null or jsonb_typeof(v_value) = 'null' then
        return p_default;
    end if;
    if jsonb_typeof(v_value) <> 'string' then
        perform bloom_private.refuse_field(p_key, 'Expected string, received '
            || jsonb_typeof(v_value));
    end if;
    if char_length(v_value #>> '{}') > p_max then
        perform bloom_private.check_text(p_key, v_value #>> '{}', 0, p_max);
    end if;
    return v_value #>> '{}';
end
$$;
comment on function bloom_private.option_text(jsonb, text, text, integer) is
    'Reads a text option of bounded length.';
