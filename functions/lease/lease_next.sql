create or replace function bloom.lease_next(
    p_worker_id text, p_session_id uuid default null, p_max_tasks integer default 1,
    p_ttl_seconds integer default 300, p_options jsonb default '{}'
) returns setof bloom.lease_grant
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan as $$
-- Leases up to p_max_tasks (1–100) ready tasks to a worker, as far as its capacity allows; no row
-- when there is nothing for it, it is draining or its credential is exhausted.
--   p_session_id  the worker process; its beats keep the leases alive
--   p_options     request_id (uuid: the same one again returns the same leases), queues (only
--                 these), actor
-- Order: priority, improved by one for every aging_seconds that a lane's first task has waited;
-- within it returned tasks first, then the longest wait; contexts in which the worker works, or
-- whose conversation it has, before all while nobody waits that long.
-- Lock order: worker_slot, ready (skip locked), queue_slot. Writes: ready, lease, worker_slot,
-- queue_slot, worker_session, event. Raises RT400, RT404 worker_not_found, RT409
-- worker_not_capable.
declare
    v_worker worker;
    v_request uuid;
    v_queues text[];
    v_actor text;
    v_lane record;
    v_room integer;
    v_left integer;
    v_active integer;
    v_tasks uuid[];
    v_replayed boolean;
begin
    perform check_options(p_options, array['request_id', 'queues', 'actor']);
    perform check_range('max_tasks', p_max_tasks, 1, 100);
    perform check_range('ttl_seconds', p_ttl_seconds, 1, 86400);
    v_actor := actor(p_options);
    v_queues := option_texts(p_options, 'queues', null, 100, 128);
    v_request := option_uuid(p_options, 'request_id');
    v_worker := worker_ready(p_worker_id);
    perform session_touch(p_session_id, p_worker_id);
    v_tasks := lease_requested(p_worker_id, v_request);
    v_replayed := cardinality(v_tasks) > 0;
    if v_replayed then
        return query select * from lease_grants(v_tasks, true);
        return;
    end if;
    if v_worker.draining or credential_until(credential_of(v_worker)) is not null then
        return;
    end if;
    for v_lane in select * from lanes_open(v_worker.labels, v_queues) loop
        if v_left is null then
            -- The counter is locked only now that there is work: an idle poll writes nothing.
            select least(p_max_tasks, max_concurrency - active), active into v_left, v_active
              from worker_slot
             where worker_id = p_worker_id for no key update;
            -- The same request may have come twice at once, and its twin have ended just now.
            v_tasks := lease_requested(p_worker_id, v_request);
            v_replayed := cardinality(v_tasks) > 0;
            exit when v_replayed or coalesce(v_left, 0) <= 0;
            v_room := v_left;
            if v_lane.waited_ms < v_lane.aging_seconds * 1000
                and (v_active > 0
                     or exists (select from context_session where worker_id = p_worker_id))
            then
                v_tasks := claim_own(p_worker_id, v_worker.labels, v_queues, v_left, p_session_id,
                    p_ttl_seconds, v_request, v_actor);
                v_left := v_left - cardinality(v_tasks);
            end if;
        end if;
        exit when v_left <= 0;
        v_tasks := v_tasks || claim_lane(v_lane.lane_id, v_lane.mark, v_lane.queue,
            v_lane.requires, v_lane.max_running, v_lane.pin_wait_ms, v_left, p_worker_id,
            p_session_id, p_ttl_seconds, v_request, v_actor);
        v_left := v_room - cardinality(v_tasks);
    end loop;
    if cardinality(v_tasks) > 0 then
        return query select * from lease_grants(v_tasks, v_replayed);
    end if;
end
$$;
comment on function bloom.lease_next(text, uuid, integer, integer, jsonb) is
    'Leases the next ready tasks to a worker.';
