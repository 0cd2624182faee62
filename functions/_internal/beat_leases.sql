create or replace function bloom_private.beat_leases(p_leases jsonb) returns uuid[]
language plpgsql immutable as $$
-- The lease ids that a beat lists.
declare
    v_item jsonb;
    v_ids uuid[];
begin
    if p_leases is null or jsonb_typeof(p_leases) <> 'array' then
        perform refuse_field('leases', 'Expected array');
    end if;
    perform check_range('leases', jsonb_array_length(p_leases), 0, 100);
    -- As option_uuid reads them, without a regular expression (three times the price).
    v_ids := array(
        select case when i.id like '________-____-____-____-____________'
                     and translate(i.id, '0123456789ABCDEFabcdef', '') = '----'
               then i.id::uuid end
          from (select e.value ->> 'lease_id' as id, e.n
                  from jsonb_array_elements(p_leases) with ordinality e(value, n)) i
         order by i.n);
    if array_position(v_ids, null) is null then
        return v_ids;
    end if;
    -- One of them is wrong: says which way.
    for v_item in select jsonb_array_elements(p_leases) loop
        if jsonb_typeof(v_item) <> 'object' or v_item ->> 'lease_id' is null then
            perform refuse_field('leases', 'Expected objects with a lease_id');
        end if;
        perform option_uuid(v_item, 'lease_id');
    end loop;
    return v_ids;
end
$$;
comment on function bloom_private.beat_leases(jsonb) is 'The lease ids that a beat lists.';
