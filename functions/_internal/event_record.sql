create or replace function bloom_private.event_record() returns trigger
language plpgsql volatile as $$
-- Statement trigger of every state table: one event per row that a transition brought in. On the
-- lease table an update is a transition only where ver grew (a heartbeat is none). What came back
-- into ready is announced to services that wait for work. Names are qualified: a trigger runs under
-- the search_path of whoever changes the table. What xid is: see the table event. It is taken here,
-- in a snapshot younger than every wait of the transition, and once for all rows.
declare
    v_xid xid8 := greatest(pg_current_xact_id(),
        (pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text::xid8);
begin
    if tg_op = 'INSERT' then
        insert into bloom_private.event (xid, cause, task_id, ver, queue, prior, status, epoch,
            fence, attempts, crashes, lease_id, worker_id, actor, detail)
        select v_xid, cause, task_id, ver, queue, prior, status, epoch, fence, attempts, crashes,
            lease_id, worker_id, actor, detail
          from entered;
        if tg_table_name = 'ready' then
            -- Submissions are announced by task_submit_many, unless its caller does it later.
            perform bloom_private.ready_announce(l.queue, l.requires, n.tasks)
               from (select e.lane_id, count(*) as tasks from entered e
                      where e.cause <> 'submitted' group by 1) n
               join bloom_private.lane l on l.lane_id = n.lane_id;
        end if;
    else
        insert into bloom_private.event (xid, cause, task_id, ver, queue, prior, status, epoch,
            fence, attempts, crashes, lease_id, worker_id, actor, detail)
        select v_xid, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch, e.fence,
            e.attempts, e.crashes, e.lease_id, e.worker_id, e.actor, e.detail
          from entered e join changed c using (task_id)
         where e.ver > c.ver;
    end if;
    return null;
end
$$;
comment on function bloom_private.event_record() is 'Writes the event of each transition.';
