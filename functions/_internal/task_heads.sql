create or replace function bloom_private.task_heads(p_task_id uuid)
returns table (place text, status text, ver integer)
language sql stable as $$
-- The state rows of a task: the table, the status and the version. There should be one.
select 'ready', r.status, r.ver from ready r where r.task_id = p_task_id
union all
select 'deferred', d.status, d.ver from deferred d where d.task_id = p_task_id
union all
select 'parked', k.status, k.ver from parked k where k.task_id = p_task_id
union all
select 'lease', l.status, l.ver from lease l where l.task_id = p_task_id
union all
select 'finished', f.status, f.ver from finished f where f.task_id = p_task_id
$$;
comment on function bloom_private.task_heads(uuid) is 'The state rows of a task.';
