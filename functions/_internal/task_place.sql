create or replace function bloom_private.task_place(p_task_id uuid)
returns table (place text, status text, run_at timestamptz)
language sql stable as $$
-- The state table that a task stands in. No row: there is no such task.
select 'ready', r.status, null::timestamptz from ready r where r.task_id = p_task_id
union all
select 'deferred', d.status, d.run_at from deferred d where d.task_id = p_task_id
union all
select 'parked', p.status, null from parked p where p.task_id = p_task_id
union all
select 'lease', l.status, null from lease l where l.task_id = p_task_id
union all
select 'finished', f.status, null from finished f where f.task_id = p_task_id
$$;
comment on function bloom_private.task_place(uuid) is 'The state table that a task stands in.';
