create or replace function bloom.task_result(p_task_id uuid) returns setof bloom.result_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The latest result of a task. Raises RT404 task_not_found, RT404 result_not_found.
begin
    return query
        select a.lease_id, a.task_id, a.worker_id, a.artifact_id, a.result_status, f.content,
               a.error_message, a.metrics, a.ended_at, f.url
          from attempt a left join artifact f on f.artifact_id = a.artifact_id
         where a.task_id = p_task_id and a.result_status is not null
         order by a.fence desc limit 1;
    if not found then
        perform from task_place(p_task_id);
        if not found then
            perform task_missing(p_task_id);
        end if;
        perform refuse(404, 'result_not_found', 'The task has no result yet',
            jsonb_build_object('task_id', p_task_id));
    end if;
end
$$;
comment on function bloom.task_result(uuid) is 'The latest result of a task.';
