create or replace function bloom_private.task_missing(p_task_id uuid) returns void
language plpgsql immutable as $$
-- Raises RT404 task_not_found.
begin
    perform bloom_private.refuse(404, 'task_not_found', 'Task not found',
        jsonb_build_object('task_id', p_task_id));
end
$$;
comment on function bloom_private.task_missing(uuid) is 'Raises RT404 task_not_found.';
