create or replace function bloom.task_get_many(p_task_ids uuid[]) returns setof bloom.task_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Up to 1,000 tasks by their ids, newest first. Ids of no task are left out. Raises RT400.
begin
    if p_task_ids is null then
        perform refuse_field('task_ids', 'Required');
    end if;
    perform check_range('task_ids', cardinality(p_task_ids), 0, 1000);
    return query select * from task_rows(p_task_ids);
end
$$;
comment on function bloom.task_get_many(uuid[]) is 'Tasks by their ids.';
