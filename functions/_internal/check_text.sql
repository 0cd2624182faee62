create or replace function bloom_private.check_text(
    p_field text, p_value text, p_min integer, p_max integer
) returns void
language plpgsql immutable as $$
-- Refuses null and text whose length in characters lies outside p_min … p_max.
begin
    if p_value is null then
        perform bloom_private.refuse_field(p_field, 'Required');
    elsif char_length(p_value) < p_min then
        perform bloom_private.refuse_field(p_field,
            format('String must contain at least %s character(s)', p_min));
    elsif char_length(p_value) > p_max then
        perform bloom_private.refuse_field(p_field,
            format('String must contain at most %s character(s)', p_max));
    end if;
end
$$;
comment on function bloom_private.check_text(text, text, integer, integer) is
    'Refuses text of the wrong length.';
