create or replace function bloom_private.lease_current(p_task_id uuid) returns uuid
language sql volatile as $$
-- The lease of a task, locked, while it has not run out: for those who may speak of a task without
-- naming its lease (see lease_named).
select l.lease_id from lease l
 where l.task_id = p_task_id and lease_expiry(l) > clock_timestamp() for update
$$;
comment on function bloom_private.lease_current(uuid) is 'The live lease of a task, locked.';
