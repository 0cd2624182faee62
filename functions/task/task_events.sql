create or replace function bloom.task_events(p_task_id uuid, p_after integer default 0)
returns setof bloom.event_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The audit trail of a task: its transitions in order, from ver p_after + 1 on, at most 1000.
-- Raises RT404 task_not_found.
begin
    return query
        select e.xid, e.seq, e.at, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch,
               e.fence, e.attempts, e.crashes, e.lease_id, e.worker_id, e.subject, e.actor, e.detail
          from event e where e.task_id = p_task_id and e.ver > coalesce(p_after, 0)
         order by e.ver limit 1000;
    if not found then
        perform from task_place(p_task_id);
        if not found then
            perform task_missing(p_task_id);
        end if;
    end if;
end
$$;
comment on function bloom.task_events(uuid, integer) is 'The audit trail of a task.';
