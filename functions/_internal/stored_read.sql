create or replace function bloom_private.stored_read(p_stored jsonb) returns void
language plpgsql immutable as $$
-- Checks what the service says of an output that it has put into object storage.
begin
    perform check_options(p_stored, array['url', 'sha256', 'size_bytes']);
    perform check_text('url', option_text(p_stored, 'url', null, 2048), 1, 2048);
    if coalesce(p_stored ->> 'sha256', '') !~ '^[0-9a-f]{64}$' then
        perform refuse_field('sha256', 'Expected 64 hexadecimal digits');
    end if;
    perform check_range('size_bytes', option_integer(p_stored, 'size_bytes', null, 0, 268435456),
        0, 268435456);
end
$$;
comment on function bloom_private.stored_read(jsonb) is
    'Checks what is said of an output in object storage.';
