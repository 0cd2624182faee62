create or replace function bloom_private.retention_tasks(p_before timestamptz) returns text[]
language plpgsql volatile as $$
-- Drops the oldest week of tasks in which none is unfinished, and takes it out of the counts.
declare
    v_week date;
    v_from uuid;
    v_to uuid;
    v_suffix text;
begin
    perform retention_default_tasks(uuid_floor(p_before));
    for v_week in select partition_weeks('task', p_before) loop
        v_from := uuid_floor(v_week::timestamptz);
        v_to := uuid_floor((v_week + 7)::timestamptz);
        continue when tasks_unfinished(v_from, v_to);
        v_suffix := to_char(v_week, '_YYYYMMDD');
        -- No requeue may slip in between the second look and the drop. Readers may, until then:
        -- who has read the tasks would wait here while the drop waits for it.
        execute format('lock table bloom_private.%I in exclusive mode',
            'finished' || v_suffix);
        continue when tasks_unfinished(v_from, v_to);
        -- There may be no count yet, where nothing was folded.
        insert into status_count as c (queue, status, tasks, entered)
        select queue, status, -count(*), 0 from finished
         where task_id >= v_from and task_id < v_to group by 1, 2
        on conflict (queue, status) do update set tasks = c.tasks + excluded.tasks;
        delete from idempotency where task_id >= v_from and task_id < v_to;
        execute format('drop table if exists bloom_private.%I, bloom_private.%I, bloom_private.%I,
            bloom_private.%I', 'finished' || v_suffix, 'attempt' || v_suffix,
            'task_log' || v_suffix, 'task' || v_suffix);
        return array['task' || v_suffix];
    end loop;
    return '{}';
end
$$;
comment on function bloom_private.retention_tasks(timestamptz) is 'Drops the oldest week of tasks.';
