create or replace function bloom.lease_next(
    p_worker_id text, p_session_id uuid default null, p_max_tasks integer default 1,
    p_ttl_seconds integer default 300, p_options jsonb default '{}'
) returns setof bloom.lease_grant
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Leases up to p_max_tasks (1–100) ready tasks to a worker, as far as its capacity allows; no row
-- when there is nothing for it, it is draining or its credential is exhausted.
--   p_session_id  the worker process; its beats keep the leases alive
--   p_options     request_id (uuid: the same one again returns the same leases), queues (only
--                 these), actor
-- Order: priority, improved by one for every aging_seconds that a lane's first task has waited;
-- within it returned tasks first, then the longest wait; contexts in which the worker works, or
-- whose conversation it has, before all while nobody waits that long.
-- Lock order: worker_slot, ready (skip locked), queue_slot as the lanes come. Writes: ready, lease,
-- worker_slot, queue_slot, worker_session, event. Raises RT400, RT404 worker_not_found, RT409
-- worker_not_capable | session_of_another_worker.
declare
    v_asked lease_request;
    v_answer record;
begin
    if p_options <> '{}' is not false then
        perform check_options(p_options, array['request_id', 'queues', 'actor']);
    end if;
    v_asked.worker_id := p_worker_id;
    v_asked.session_id := p_session_id;
    v_asked.max_tasks := p_max_tasks;
    v_asked.ttl_seconds := p_ttl_seconds;
    v_asked := lease_request_read(v_asked, p_options);
    for v_answer in select * from leases_serve(array[v_asked]) loop
        if v_answer.error is not null then
            perform refuse((v_answer.error ->> 'status')::integer, v_answer.error ->> 'code',
                v_answer.error ->> 'message', v_answer.error - '{status,code,message}'::text[]);
        end if;
        return next v_answer.granted;
    end loop;
end
$$;
comment on function bloom.lease_next(text, uuid, integer, integer, jsonb) is
    'Leases the next ready tasks to a worker.';
