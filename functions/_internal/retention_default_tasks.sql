create or replace function bloom_private.retention_default_tasks(p_before uuid) returns void
language plpgsql volatile as $$
-- Deletes finished tasks of the default partitions with ids below p_before, 10,000 at most.
declare
    v_ids uuid[] := array(select task_id from finished_default where task_id < p_before
        order by task_id limit 10000 for update skip locked);
begin
    if cardinality(v_ids) = 0 then
        return;
    end if;
    -- There may be no count yet, where nothing was folded.
    insert into status_count as c (queue, status, tasks, entered)
    select queue, status, -count(*), 0 from finished_default
     where task_id = any (v_ids) group by 1, 2
    on conflict (queue, status) do update set tasks = c.tasks + excluded.tasks;
    delete from finished_default where task_id = any (v_ids);
    delete from task_log_default where task_id = any (v_ids);
    delete from attempt_default where task_id = any (v_ids);
    delete from task_default where task_id = any (v_ids);
    delete from idempotency where task_id = any (v_ids);
end
$$;
comment on function bloom_private.retention_default_tasks(uuid) is
    'Deletes old finished tasks of the default partitions.';
