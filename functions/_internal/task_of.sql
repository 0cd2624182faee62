create or replace function bloom_private.task_of(p_task_id uuid)
returns setof bloom_private.task
language sql stable rows 1 as $$
-- A task by its key, for joins: PostgreSQL takes this in as a subquery, whose `offset 0` is a
-- fence. A plain join may walk all tasks while statistics say that there are few.
select * from bloom_private.task k where k.task_id = p_task_id offset 0
$$;
comment on function bloom_private.task_of(uuid) is 'A task by its key, for joins.';
