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
    v_count integer := coalesce(cardinality(p_tasks), 0);
    v_dims text := '[1:' || v_count || ']';
    v_given completion[];
    v_end record;
begin
    perform check_range('tasks', v_count, 1, 1000);
    if array_dims(p_tasks) <> v_dims
        or p_options is null or jsonb_typeof(p_options) <> 'array'
        or array_dims(p_leases) is distinct from v_dims
        or array_dims(p_statuses) is distinct from v_dims
        or array_dims(p_outputs) is distinct from v_dims
        or jsonb_array_length(p_options) <> v_count
    then
        perform refuse_field('tasks', 'Expected arrays of the same length, counted from 1');
    end if;
    v_given := completions_read(p_statuses, p_outputs, p_options);
    v_end := completions_end(p_tasks, p_leases, v_given, p_outputs);
    if cardinality(v_end.places) = v_count then
        return query
            select n, p_tasks[n], e.status, p_leases[n], e.worker, v_given[n].artifact_id,
                   e.ended_at, false, null::jsonb
              from unnest(v_end.places, v_end.statuses, v_end.workers, v_end.ends)
                   e(n, status, worker, ended_at)
             order by n;
        return;
    end if;
    return query
        select n, p_tasks[n], v_end.statuses[i], p_leases[n], v_end.workers[i],
               v_given[n].artifact_id, v_end.ends[i], false, null::jsonb
          from unnest(v_end.places) with ordinality e(n, i)
        union all
        select x.n, x.task_id, r.task_status, x.lease_id, r.worker_id, r.artifact_id,
               r.completed_at, r.error is null, r.error
          from (select n, p_tasks[n] as task_id, p_leases[n] as lease_id
                  from generate_series(1, v_count) n
                 where n <> all (coalesce(v_end.places, '{}')) offset 0) x
         cross join lateral (
               select t.* from replay_try(x.task_id, x.lease_id, v_given[x.n].digest) t
                where v_given[x.n].error is null
               union all
               select null, null, null, null, v_given[x.n].error
                where v_given[x.n].error is not null) r
         order by 1;
end
$$;
comment on function bloom.lease_complete_many(uuid[], uuid[], text[], text[], jsonb) is
    'Ends many leases with their results.';
