create or replace function bloom_private.check_range(
    p_field text, p_value numeric, p_min numeric, p_max numeric
) returns void
language plpgsql immutable as $$
-- Refuses null and what lies outside p_min … p_max, in the words that HTTP clients know.
begin
    if p_value is null then
        perform bloom_private.refuse_field(p_field, 'Required');
    elsif p_value < p_min then
        perform bloom_private.refuse_field(p_field,
            'Number must be greater than or equal to ' || p_min);
    elsif p_value > p_max then
        perform bloom_private.refuse_field(p_field,
            'Number must be less than or equal to ' || p_max);
    end if;
end
$$;
comment on function bloom_private.check_range(text, numeric, numeric, numeric) is
    'Refuses a number outside its bounds.';
