create or replace function bloom.worker_remove(p_worker_id text, p_options jsonb default '{}')
returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Removes a worker. Its live leases end and their tasks are queued again, unburned, in the same
-- transaction. Returns how many leases ended.
--   p_options  actor
-- Lock order: worker, lease by task, context_slot, worker_slot, queue_slot, worker_session. Writes:
-- worker, worker_slot, worker_session, lease, attempt, ready | finished, event. Raises RT400,
-- RT404 worker_not_found.
declare
    v_actor text;
    v_leases lease[];
    v_count integer := 0;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    perform from worker where worker_id = p_worker_id for update;
    -- Twice: the first pass ends with the worker's counter locked, so that no claim can slip in
    -- behind the second.
    for v_pass in 1..2 loop
        with gone as (
            delete from lease l
             where l.task_id = any (array(select c.task_id from lease c
                    where c.worker_id = p_worker_id order by c.task_id for update))
            returning l as ended
        )
        select array_agg(ended) into v_leases from gone;
        if v_leases is not null then
            perform leases_return(v_leases, 'removed', v_actor, false,
                '{"reason": "the worker was removed"}');
            v_count := v_count + cardinality(v_leases);
        end if;
        perform from worker_slot where worker_id = p_worker_id for update;
        if not found then
            perform refuse(404, 'worker_not_found', 'Worker not found',
                jsonb_build_object('worker_id', left(p_worker_id, 200)));
        end if;
    end loop;
    delete from worker where worker_id = p_worker_id;
    perform event_note('worker_removed', 'worker/' || p_worker_id, v_actor);
    return v_count;
end
$$;
comment on function bloom.worker_remove(text, jsonb) is
    'Removes a worker; its tasks are queued again.';
