create or replace function bloom.lease_next_many(p_requests jsonb)
returns table (ordinal integer, error jsonb, granted bloom.lease_grant)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
-- Serves up to 1000 requests for work at once, each as lease_next does and each with an answer of
-- its own: a row for every task that it got, or one row with error {code, message, status, …}; no
-- row where there was nothing for it. ordinal is the number of the request, from 1. Requests take
-- turns where there is not enough for all. Of a request that is there twice (request_id) the second
-- gets nothing: to be asked again.
--   p_requests  array of {worker_id, session_id, max_tasks (1), ttl_seconds (300), request_id,
--               queues, actor}
-- Lock order: as lease_next, each kind of row in one order. Writes: as lease_next. Raises RT400
-- where that is no array, RT404 worker_not_found where a worker is removed meanwhile.
begin
    if p_requests is null or jsonb_typeof(p_requests) <> 'array' then
        perform refuse_field('requests', 'Expected array');
    end if;
    perform check_range('requests', jsonb_array_length(p_requests), 1, 1000);
    return query select s.* from leases_serve(array(
        select lease_request_try(r.value)
          from jsonb_array_elements(p_requests) with ordinality r order by r.ordinality)) s;
end
$$;
comment on function bloom.lease_next_many(jsonb) is 'Serves many requests for work.';
