create or replace function bloom_private.option_time(p_options jsonb, p_key text)
returns timestamptz
language plpgsql stable as $$
-- A moment: integer epoch milliseconds, or text that Postgres reads as timestamptz. Null if absent.
-- At most ten years ahead: what is meant to run then is a mistake in the unit.
declare
    v_value jsonb := p_options -> p_key;
    v_at timestamptz;
begin
    if v_value is null or jsonb_typeof(v_value) = 'null' then
        return null;
    end if;
    if jsonb_typeof(v_value) = 'number' then
        perform bloom_private.check_range(p_key, v_value::numeric, 0, 9000000000000);
        v_at := to_timestamp(v_value::numeric / 1000);
    elsif jsonb_typeof(v_value) = 'string'
        and v_value #>> '{}' ~ '^\d{4}-\d{2}-\d{2}[T ][0-9:.]{5,}'
    then
        v_at := (v_value #>> '{}')::timestamptz;
    else
        perform bloom_private.refuse_field(p_key,
            'Expected epoch milliseconds or an ISO 8601 time');
    end if;
    if not isfinite(v_at) or v_at > clock_timestamp() + interval '10 years' then
        perform bloom_private.refuse_field(p_key, 'Must be at most ten years ahead');
    end if;
    return v_at;
end
$$;
comment on function bloom_private.option_time(jsonb, text) is 'Reads a moment.';
