create or replace function bloom.lease_complete_many(
    p_tasks uuid[], p_leases uuid[], p_statuses text[], p_outputs text[], p_options jsonb
) returns table (ordinal integer, task_id uuid, task_status text, lease_id uuid, worker_id text,
    artifact_id uuid, completed_at timestamptz, replayed boolean, error jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Ends up to 1000 leases with their results, each as lease_complete does and each with an answer of
-- its own: what is refused has error {code, message, status, …}, and nothing else. One row per
-- item, in order.
--   p_tasks, p_leases, p_statuses, p_outputs, p_options  arrays of the same length: for each item
--       its task, its lease, its status, its output (or null) and an object of options
-- Lock order: as lease_complete, each kind of row in one order. Writes: as lease_complete. Raises
-- RT400 for arrays that do not fit together.
declare
    v_given completion[];
    v_found integer[];
    v_leases lease[];
    v_states text[];
begin
    perform check_range('tasks', coalesce(cardinality(p_tasks), 0), 1, 1000);
    if p_options is null or jsonb_typeof(p_options) <> 'array'
        or cardinality(p_leases) is distinct from cardinality(p_tasks)
        or cardinality(p_statuses) is distinct from cardinality(p_tasks)
        or cardinality(p_outputs) is distinct from cardinality(p_tasks)
        or jsonb_array_length(p_options) <> cardinality(p_tasks)
    then
        perform refuse_field('tasks', 'Expected arrays of the same length');
    end if;
    v_given := completions_read(p_statuses, p_outputs, p_options);

    with gone as (
        delete from lease l
         using (select i.task_id, i.lease_id, (v_given[i.n]).worker_id, i.n
                  from unnest(p_tasks, p_leases) with ordinality i(task_id, lease_id, n)
                 where (v_given[i.n]).error is null order by i.task_id) i
         where l.task_id = i.task_id and l.lease_id = i.lease_id
           and (i.worker_id is null or l.worker_id = i.worker_id)
        returning i.n, l
    )
    select array_agg(n), array_agg(l) into v_found, v_leases from gone;
    if v_found is not null then
        for v_i in 1 .. cardinality(v_found) loop
            -- See lease_complete.
            v_given[v_found[v_i]].at := greatest(v_given[v_found[v_i]].at,
                v_leases[v_i].cancel_requested_at, v_leases[v_i].cancel_delivered_at);
        end loop;
        v_states := completions_store(v_leases,
            array(select v_given[n] from unnest(v_found) with ordinality f(n, i) order by i),
            array(select p_outputs[n] from unnest(v_found) with ordinality f(n, i) order by i));
    end if;
    return query
        select x.n::integer, x.task_id, v_states[f.i], x.lease_id, (v_leases[f.i]).worker_id,
               (v_given[x.n]).artifact_id, (v_given[x.n]).at, false, null::jsonb
          from unnest(p_tasks, p_leases) with ordinality x(task_id, lease_id, n)
         cross join lateral (select array_position(v_found, x.n::integer) as i offset 0) f
         where f.i is not null
        union all
        select x.n::integer, x.task_id, r.task_status, x.lease_id, r.worker_id, r.artifact_id,
               r.completed_at, r.error is null, r.error
          from unnest(p_tasks, p_leases) with ordinality x(task_id, lease_id, n)
         cross join lateral (
               select t.* from replay_try(x.task_id, x.lease_id, (v_given[x.n]).digest) t
                where (v_given[x.n]).error is null
               union all
               select null, null, null, null, (v_given[x.n]).error
                where (v_given[x.n]).error is not null) r
         where array_position(v_found, x.n::integer) is null
         order by 1;
end
$$;
comment on function bloom.lease_complete_many(uuid[], uuid[], text[], text[], jsonb) is
    'Ends many leases with their results.';
