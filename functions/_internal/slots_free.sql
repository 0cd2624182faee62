create or replace function bloom_private.slots_free(p_leases bloom_private.lease[]) returns void
language plpgsql volatile as $$
-- Gives back the capacity of leases that the caller has just ended, and forgets their progress.
-- Lock order: worker_slot by worker, then queue_slot by queue.
declare
    v_lease lease;
    v_count record;
    v_workers text[] := '{}';
    v_tasks uuid[] := '{}';
    v_counted boolean := false;
begin
    foreach v_lease in array p_leases loop
        v_tasks := v_tasks || v_lease.task_id;
        v_workers := v_workers || v_lease.worker_id;
        v_counted := v_counted or v_lease.queue_counted;
    end loop;
    delete from progress where task_id = any (v_tasks);
    if cardinality(v_workers) = 1 then
        update worker_slot
           set active = active - 1, capacity = greatest(max_concurrency, active - 1)
         where worker_id = v_workers[1];
    else
        -- The nested loop that the verbs demand takes the rows in the order of its outer side.
        update worker_slot s
           set active = s.active - c.n, capacity = greatest(s.max_concurrency, s.active - c.n)
          from (select w as worker_id, count(*)::integer as n
                  from unnest(v_workers) w group by 1 order by 1 offset 0) c
         where s.worker_id = c.worker_id;
    end if;
    if not v_counted then
        return;
    end if;
    for v_count in
        select l.queue as name, count(*)::integer as n
          from unnest(p_leases) l where l.queue_counted group by 1 order by 1
    loop
        -- Locked first, so that the update sees a limit that was changed meanwhile.
        perform from queue_slot where queue = v_count.name for no key update;
        update queue_slot s
           set running = s.running - v_count.n,
               capacity = greatest(coalesce(q.max_running, 0), s.running - v_count.n)
          from queue q where s.queue = v_count.name and q.name = s.queue;
        perform ready_announce(v_count.name, '{}', v_count.n);
    end loop;
end
$$;
comment on function bloom_private.slots_free(bloom_private.lease[]) is
    'Gives back the capacity of ended leases.';
