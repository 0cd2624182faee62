create or replace function bloom_private.slots_free(p_leases bloom_private.lease[]) returns void
language plpgsql volatile as $$
-- Gives back the capacity of leases that the caller has just ended, and forgets their progress.
-- Lock order: worker_slot by worker, then queue_slot by queue.
declare
    v_count record;
begin
    perform from worker_slot
      where worker_id = any (array(select distinct l.worker_id from unnest(p_leases) l))
      order by worker_id for no key update;
    update worker_slot s
       set active = s.active - c.n, capacity = greatest(s.max_concurrency, s.active - c.n)
      from (select l.worker_id, count(*)::integer as n from unnest(p_leases) l group by 1) c
     where s.worker_id = c.worker_id;
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
    delete from progress
     where task_id = any (array(select l.task_id from unnest(p_leases) l));
end
$$;
comment on function bloom_private.slots_free(bloom_private.lease[]) is
    'Gives back the capacity of ended leases.';
