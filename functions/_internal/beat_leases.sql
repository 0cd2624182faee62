create or replace function bloom_private.beat_leases(p_leases jsonb) returns uuid[]
language plpgsql immutable as $$
-- The lease ids that a beat lists.
declare
    v_item jsonb;
    v_ids uuid[] := '{}';
begin
    if p_leases is null or jsonb_typeof(p_leases) <> 'array' then
        perform refuse_field('leases', 'Expected array');
    end if;
    perform check_range('leases', jsonb_array_length(p_leases), 0, 100);
    for v_item in select jsonb_array_elements(p_leases) loop
        if jsonb_typeof(v_item) <> 'object' or v_item ->> 'lease_id' is null then
            perform refuse_field('leases', 'Expected objects with a lease_id');
        end if;
        v_ids := v_ids || option_uuid(v_item, 'lease_id');
    end loop;
    return v_ids;
end
$$;
comment on function bloom_private.beat_leases(jsonb) is 'The lease ids that a beat lists.';
