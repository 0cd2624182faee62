create or replace function bloom.task_get(p_task_id uuid) returns setof bloom.task_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- One task. Raises RT404 task_not_found.
begin
    return query select * from task_rows(array[p_task_id]);
    if not found then
        perform task_missing(p_task_id);
    end if;
end
$$;
comment on function bloom.task_get(uuid) is 'One task.';
