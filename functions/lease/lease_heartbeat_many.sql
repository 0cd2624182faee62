create or replace function bloom.lease_heartbeat_many(
    p_tasks uuid[], p_leases uuid[], p_ttl_seconds integer[], p_workers text[], p_options jsonb
) returns table (ordinal integer, error jsonb, shown bloom.lease_row)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Up to 1000 heartbeats at once, each as lease_heartbeat does and each with an answer of its own:
-- what is refused has error {code, message, status, …}. One row per item, in order.
--   p_tasks, p_leases, p_ttl_seconds, p_workers  arrays of the same length: for each item its task,
--       its lease, a new ttl (or null), and the worker that the lease must be of (or null)
--   p_options  actors: an array with the actor of each item
-- One statement renews all that are as they should be; a second heartbeat for the same lease, and
-- those to be refused, are looked at one by one.
-- Lock order: as lease_heartbeat, leases by task. Writes: lease, event. Raises RT400 for arrays
-- that do not fit together.
declare
    v_dims text := '[1:' || cardinality(p_tasks) || ']';
    v_now timestamptz := clock_timestamp();
    v_actor text;
    v_actors text[];
    v_beaten integer[];
    v_leases lease[];
begin
    perform check_options(p_options, array['actors']);
    perform check_range('tasks', coalesce(cardinality(p_tasks), 0), 1, 1000);
    if array_dims(p_tasks) <> v_dims
        or array_dims(p_leases) is distinct from v_dims
        or array_dims(p_ttl_seconds) is distinct from v_dims
        or array_dims(p_workers) is distinct from v_dims
    then
        perform refuse_field('tasks', 'Expected arrays of the same length, counted from 1');
    end if;
    v_actors := option_texts(p_options, 'actors', null, 1000, 200);
    -- For those who may name one actor.
    v_actor := actor(case when v_actors is null then '{}'
        else jsonb_build_object('actor', v_actors[1]) end);

    with beaten as (
        update lease l
           set ttl_seconds = coalesce(i.ttl, l.ttl_seconds),
               expires_at = v_now + make_interval(secs => coalesce(i.ttl, l.ttl_seconds)),
               last_heartbeat = v_now,
               unlisted_at = null,
               running_at = coalesce(l.running_at, v_now),
               ver = l.ver + (l.status = 'leased')::integer,
               prior = case when l.status = 'leased' then l.status else l.prior end,
               cause = case when l.status = 'leased' then 'running' else l.cause end,
               actor = case when l.status = 'leased' then coalesce(v_actors[i.n], v_actor)
                            else l.actor end,
               detail = case when l.status <> 'leased' then l.detail end,
               status = 'running'
          from (select distinct on (x.task_id) x.* from unnest(p_tasks, p_leases, p_ttl_seconds,
                       p_workers) with ordinality x(task_id, lease_id, ttl, worker_id, n)
                 where x.lease_id is not null and coalesce(x.ttl between 1 and 86400, true)
                 order by x.task_id, x.n) i
         where l.task_id = i.task_id and l.lease_id = i.lease_id
           and (i.worker_id is null or l.worker_id = i.worker_id)
        returning i.n, l
    )
    select array_agg(n), array_agg(l) into v_beaten, v_leases from beaten;
    return query
        select f.n, null::jsonb, lease_shown(v_leases[f.i::integer])
          from unnest(v_beaten) with ordinality f(n, i)
        union all
        select x.n::integer, h.error, h.shown
          from unnest(p_tasks, p_leases, p_ttl_seconds, p_workers)
               with ordinality x(task_id, lease_id, ttl, worker_id, n)
         cross join lateral heartbeat_try(x.task_id, x.lease_id, jsonb_strip_nulls(
               jsonb_build_object('ttl_seconds', x.ttl, 'worker_id', x.worker_id,
                   'actor', v_actors[x.n]))) h
         where v_beaten is null or x.n <> all (v_beaten)
         order by 1;
end
$$;
comment on function bloom.lease_heartbeat_many(uuid[], uuid[], integer[], text[], jsonb) is
    'Renews many leases.';
