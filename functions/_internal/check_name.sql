create or replace function bloom_private.check_name(p_field text, p_value text) returns void
language plpgsql immutable as $$
-- Refuses what cannot be the name of a worker or a queue. In an address `.` and `..` are steps, so
-- that nobody could reach what is called so.
begin
    perform bloom_private.check_text(p_field, p_value, 1, 128);
    if p_value in ('.', '..') then
        perform bloom_private.refuse_field(p_field, 'Must not be one or two dots');
    end if;
end
$$;
comment on function bloom_private.check_name(text, text) is
    'Refuses what cannot be a name.';
