create or replace function bloom_private.option_boolean(
    p_options jsonb, p_key text, p_default boolean
) returns boolean
language plpgsql immutable as $$
-- A boolean option. Absent or null gives the default.
declare
    v_value jsonb := p_options -> p_key;
begin
    if v_value is null or jsonb_typeof(v_value) = 'null' then
        return p_default;
    end if;
    if jsonb_typeof(v_value) <> 'boolean' then
        perform bloom_private.refuse_field(p_key, 'Expected boolean, received '
            || jsonb_typeof(v_value));
    end if;
    return v_value::boolean;
end
$$;
comment on function bloom_private.option_boolean(jsonb, text, boolean) is 'Reads a boolean option.';
