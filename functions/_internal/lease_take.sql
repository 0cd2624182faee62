create or replace function bloom_private.lease_take(
    p_rows tid[], p_worker_id text, p_session_id uuid, p_ttl_seconds integer, p_request_id uuid,
    p_actor text, p_counted boolean
) returns uuid[]
language plpgsql volatile as $$
-- The one place where ready tasks become leased: moves rows that the caller has locked, and counts
-- them against the worker's and (p_counted) the queue's limit, whose rows the caller has locked.
-- Where another worker has the context's conversation, the event says so. Returns the tasks' ids.
declare
    v_now timestamptz := clock_timestamp();
    v_tasks uuid[];
    v_queue text;
begin
    with taken as (
        delete from ready where ctid = any (p_rows) returning *
    ), granted as (
        insert into lease (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            prior, actor, lease_id, worker_id, detail, session_id, request_id, context_id,
            queue_counted, started_at, expires_at, ttl_seconds, last_heartbeat)
        select task_id, queue, 'leased', ver + 1, epoch, fence + 1, attempts + 1, crashes,
            'leased', status, p_actor, uuid_v7(), p_worker_id,
            (select jsonb_build_object('context_moved_from', s.worker_id) from context_session s
              where s.context_id = taken.context_id and s.worker_id <> p_worker_id),
            p_session_id, p_request_id, context_id, p_counted, v_now,
            v_now + make_interval(secs => p_ttl_seconds), p_ttl_seconds, v_now
          from taken
        returning task_id, queue
    )
    select array_agg(task_id), min(queue) into v_tasks, v_queue from granted;
    update worker_slot set active = active + cardinality(v_tasks) where worker_id = p_worker_id;
    if p_counted then
        update queue_slot set running = running + cardinality(v_tasks) where queue = v_queue;
    end if;
    return v_tasks;
end
$$;
comment on function
    bloom_private.lease_take(tid[], text, uuid, integer, uuid, text, boolean) is
    'Moves locked ready rows into lease.';
