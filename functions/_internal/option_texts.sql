create or replace function bloom_private.option_texts(
    p_options jsonb, p_key text, p_default text[], p_max_items integer, p_max_chars integer
) returns text[]
language plpgsql immutable as $$
-- An array of texts, bounded in number and length. Absent or null gives the default.
declare
    v_value jsonb := p_options -> p_key;
    v_item jsonb;
begin
    if v_value is null or jsonb_typeof(v_value) = 'null' then
        return p_default;
    end if;
    if jsonb_typeof(v_value) <> 'array' then
        perform bloom_private.refuse_field(p_key, 'Expected array, received '
            || jsonb_typeof(v_value));
    end if;
    if v_value = '[]' then
        return '{}';
    end if;
    if jsonb_array_length(v_value) > p_max_items then
        perform bloom_private.refuse_field(p_key,
            format('Array must contain at most %s element(s)', p_max_items));
    end if;
    for v_item in select jsonb_array_elements(v_value) loop
        if jsonb_typeof(v_item) <> 'string' then
            perform bloom_private.refuse_field(p_key, 'Expected string, received '
                || jsonb_typeof(v_item));
        end if;
        perform bloom_private.check_text(p_key, v_item #>> '{}', 1, p_max_chars);
    end loop;
    return array(select jsonb_array_elements_text(v_value));
end
$$;
comment on function bloom_private.option_texts(jsonb, text, text[], integer, integer) is
    'Reads a bounded array of texts.';
