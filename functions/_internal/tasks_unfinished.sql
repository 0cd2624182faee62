create or replace function bloom_private.tasks_unfinished(p_from uuid, p_to uuid) returns boolean
language sql volatile as $$
-- Whether any task with p_from ≤ id < p_to is not finished.
select exists (select from ready where task_id >= p_from and task_id < p_to)
    or exists (select from deferred where task_id >= p_from and task_id < p_to)
    or exists (select from parked where task_id >= p_from and task_id < p_to)
    or exists (select from lease where task_id >= p_from and task_id < p_to)
$$;
comment on function bloom_private.tasks_unfinished(uuid, uuid) is
    'Whether a range of tasks has one that is not finished.';
