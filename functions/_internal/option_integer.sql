create or replace function bloom_private.option_integer(
    p_options jsonb, p_key text, p_default integer, p_min integer, p_max integer
) returns integer
language plpgsql immutable as $$
-- An integer option within bounds. Absent or null gives the default; 3.0 is 3; "3" is refused.
declare
    v_value jsonb := p_options -> p_key;
    v_number numeric;
begin
    if v_value is null or jsonb_typeof(v_value) = 'null' then
        return p_default;
    end if;
    if jsonb_typeof(v_value) <> 'number' then
        perform bloom_private.refuse_field(p_key, 'Expected number, received '
            || jsonb_typeof(v_value));
    end if;
    v_number := v_value::numeric;
    if v_number <> trunc(v_number) then
        perform bloom_private.refuse_field(p_key, 'Expected integer, received float');
    end if;
    if v_number not between p_min and p_max then
        perform bloom_private.check_range(p_key, v_number, p_min, p_max);
    end if;
    return v_number::integer;
end
$$;
comment on function bloom_private.option_integer(jsonb, text, integer, integer, integer) is
    'Reads an integer option within bounds.';
