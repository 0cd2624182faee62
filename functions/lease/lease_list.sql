create or replace function bloom.lease_list(
    p_status text default null, p_limit integer default 100, p_before uuid default null
) returns setof bloom.lease_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_custom_plan as $$
-- Leases, newest first: at most p_limit (1–1000) with ids below p_before. Status is active,
-- expired, failed (ended with an error) or released (ended otherwise); unknown gives none.
-- Raises RT400.
begin
    perform check_range('limit', p_limit, 1, 1000);
    -- Planned for each call: a list of ended leases then leaves the live ones alone.
    return query select * from leases_shown(p_status, p_limit,
        coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff'));
end
$$;
comment on function bloom.lease_list(text, integer, uuid) is 'Leases, newest first.';
