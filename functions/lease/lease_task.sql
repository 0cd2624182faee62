create or replace function bloom.lease_task(
    p_task_id uuid, p_workers text[], p_ttl_seconds integer default 300,
    p_options jsonb default '{}'
) returns setof bloom.lease_grant
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Leases this task to the first of these workers (ranked, at most 1000) that is online, able and
-- has room. Of many callers at once exactly one wins; the others wait for it and get RT409.
--   p_options  session_id (uuid), actor
-- Lock order: ready, worker, worker_slot, queue_slot. Writes: ready, lease, worker_slot,
-- queue_slot, event.
-- Raises RT400, RT404 task_not_found, RT409 wrong_status | not_due | context_busy | queue_paused,
-- RT503 no_available_worker | queue_full.
declare
    v_row record;
    v_queue record;
    v_asked lease_request;
    v_tasks uuid[];
begin
    perform check_options(p_options, array['session_id', 'actor']);
    perform check_range('ttl_seconds', p_ttl_seconds, 1, 86400);
    perform check_range('workers', coalesce(cardinality(p_workers), 0), 0, 1000);
    v_asked.actor := actor(p_options);
    v_asked.session_id := option_uuid(p_options, 'session_id');
    v_asked.ttl_seconds := p_ttl_seconds;
    for v_try in 1..3 loop
        select r.ctid as tid, r.queue, t.requires into v_row
          from ready r join task t on t.task_id = r.task_id
         where r.task_id = p_task_id for update of r;
        exit when found;
        perform ready_refuse(p_task_id);
    end loop;
    if v_row.tid is null then
        raise exception using errcode = '40001', message = 'the task keeps changing its state';
    end if;
    -- Not before: the row may have been waited for.
    select q.paused, q.max_running into v_queue from queue q where q.name = v_row.queue;
    if v_queue.paused then
        perform refuse(409, 'queue_paused', format('Queue %s is paused', v_row.queue),
            jsonb_build_object('queue', v_row.queue));
    end if;
    v_asked.worker_id := worker_reserve(p_workers, v_row.requires);
    if v_queue.max_running is not null
        and queue_room(v_row.queue, v_queue.max_running) < 1
    then
        perform refuse(503, 'queue_full', format('Queue %s runs as many tasks as it may',
            v_row.queue), jsonb_build_object('queue', v_row.queue));
    end if;
    perform session_touch(v_asked.session_id, v_asked.worker_id);
    v_tasks := lease_take(array[v_row.tid], array[v_asked], array[1],
        v_queue.max_running is not null);
    return query select * from lease_grants(v_tasks, false, p_task_id, p_task_id);
end
$$;
comment on function bloom.lease_task(uuid, text[], integer, jsonb) is
    'Leases one task to the first of some workers that has room.';
