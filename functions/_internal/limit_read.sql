create or replace function bloom_private.limit_read(p_options jsonb) returns timestamptz
language plpgsql stable as $$
-- The option limited_until, integer epoch milliseconds: until when a usage limit holds. Null if
-- absent. The moment was read from a program's message, so what cannot be is not refused: one that
-- is past or less than a second ahead counts as a minute from now, one more than eight days ahead
-- as eight days.
declare
    v_now timestamptz := clock_timestamp();
    v_value jsonb := p_options -> 'limited_until';
    v_until timestamptz;
begin
    if v_value is null or v_value = 'null' then
        return null;
    end if;
    if jsonb_typeof(v_value) <> 'number' then
        perform bloom_private.refuse_field('limited_until', 'Expected number, received '
            || jsonb_typeof(v_value));
    elsif v_value::numeric <> trunc(v_value::numeric) then
        perform bloom_private.refuse_field('limited_until', 'Expected integer, received float');
    end if;
    v_until := to_timestamp(least(greatest(v_value::numeric, 0), 9000000000000) / 1000);
    if v_until < v_now + interval '1 second' then
        return v_now + interval '60 seconds';
    end if;
    return least(v_until, v_now + interval '8 days');
end
$$;
comment on function bloom_private.limit_read(jsonb) is 'Reads until when a usage limit holds.';
