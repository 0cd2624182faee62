create or replace function bloom_private.lease_take(
    p_rows tid[], p_asked bloom_private.lease_request[], p_seats integer[], p_counted boolean
) returns uuid[]
language plpgsql volatile as $$
-- The one place where ready tasks become leased: moves rows that the caller has locked, each to the
-- request that p_seats names, and counts them against the workers' and (p_counted: then all are of
-- one queue) the queue's limit, whose rows the caller has locked. Where another worker has the
-- context's conversation, the event says so. Returns the tasks' ids, in the order of p_rows.
declare
    v_now timestamptz := clock_timestamp();
    v_us bigint := now_us();
    v_tasks uuid[];
    v_queue text;
begin
    with taken as (
        delete from ready r using unnest(p_rows, p_seats) with ordinality s(tid, seat, n)
         where r.ctid = s.tid
        returning r.*, s.n, p_asked[s.seat] as a
    ), granted as (
        insert into lease (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, session_id, request_id, context_id,
            queue_counted, started_at, expires_at, ttl_seconds, last_heartbeat)
        select task_id, queue, 'leased', ver + 1, epoch, fence + 1, attempts + 1, crashes,
            'leased', status, (a).actor, uuid_v7_at(v_us + n), (a).worker_id,
            (select jsonb_build_object('context_moved_from', s.worker_id) from context_session s
              where s.context_id = taken.context_id and s.worker_id <> (a).worker_id),
            (a).session_id, (a).request_id, context_id, p_counted, v_now,
            v_now + make_interval(secs => (a).ttl_seconds), (a).ttl_seconds, v_now
          from taken
    )
    select array_agg(task_id order by n), min(queue) into v_tasks, v_queue from taken;
    if cardinality(p_asked) = 1 then
        update worker_slot set active = active + cardinality(v_tasks)
         where worker_id = p_asked[1].worker_id;
    else
        update worker_slot s set active = s.active + c.n
          from (select (p_asked[x.seat]).worker_id, count(*)::integer as n
                  from unnest(p_seats) x(seat) group by 1) c
         where s.worker_id = c.worker_id;
    end if;
    if p_counted then
        update queue_slot set running = running + cardinality(v_tasks) where queue = v_queue;
    end if;
    return v_tasks;
end
$$;
comment on function bloom_private.lease_take(
    tid[], bloom_private.lease_request[], integer[], boolean) is
    'Moves locked ready rows into lease.';
