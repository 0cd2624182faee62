create or replace function bloom.lease_next_many(
    p_workers text[], p_sessions uuid[], p_max_tasks integer[], p_ttl_seconds integer[],
    p_requests uuid[], p_options jsonb default '{}'
) returns table (ordinal integer, error jsonb, granted bloom.lease_grant)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Serves up to 1000 requests for work at once, each as lease_next does and each with an answer of
-- its own: a row for every task that it got, or one row with error {code, message, status, …}; no
-- row where there was nothing for it. ordinal is the number of the request, from 1. Requests take
-- turns where there is not enough for all. Of a request that is there twice the second gets
-- nothing: to be asked again.
--   p_workers, p_sessions, p_max_tasks, p_ttl_seconds, p_requests  arrays of the same length: for
--       each request its worker, its process (or null), how many tasks, for how long, and its
--       request_id (or null)
--   p_options  queues: an array with, for each request, null or an array of queues; actor, or
--              actors: an array with one for each request
-- Lock order: as lease_next, each kind of row in one order. Writes: as lease_next. Raises RT400
-- for arrays that do not fit together, RT404 worker_not_found where a worker is removed meanwhile,
-- RT409 session_of_another_worker where another one comes with the same new session.
declare
    v_actor text;
    v_actors text[];
    v_count integer := coalesce(cardinality(p_workers), 0);
    v_dims text := '[1:' || v_count || ']';
    v_asked lease_request[];
begin
    perform check_options(p_options, array['queues', 'actor', 'actors']);
    perform check_range('workers', v_count, 1, 1000);
    if array_dims(p_workers) <> v_dims
        or array_dims(p_sessions) is distinct from v_dims
        or array_dims(p_max_tasks) is distinct from v_dims
        or array_dims(p_ttl_seconds) is distinct from v_dims
        or array_dims(p_requests) is distinct from v_dims
    then
        perform refuse_field('workers', 'Expected arrays of the same length, counted from 1');
    end if;
    v_actor := actor(p_options);
    v_actors := option_texts(p_options, 'actors', null, 1000, 200);
    if v_actors is not null then
        -- For those who may name one actor.
        v_actor := actor(jsonb_build_object('actor', v_actor));
    end if;
    v_asked := array(
        select row(w, p_sessions[n], p_max_tasks[n], p_ttl_seconds[n], p_requests[n], null,
                coalesce(v_actors[n], v_actor), null, null, lease_request_error(w, p_max_tasks[n],
                    p_ttl_seconds[n]))::lease_request
          from unnest(p_workers) with ordinality a(w, n) order by n);
    if coalesce(jsonb_typeof(p_options -> 'queues'), 'null') <> 'null' then
        v_asked := lease_request_queues(v_asked, p_options -> 'queues');
    end if;
    return query select s.* from leases_serve(v_asked) s;
end
$$;
comment on function bloom.lease_next_many(text[], uuid[], integer[], integer[], uuid[], jsonb) is
    'Serves many requests for work.';
