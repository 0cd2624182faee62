create or replace function bloom.worker_leave(p_worker_id text, p_session_id uuid)
returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- A worker process says goodbye: its session is forgotten once it holds no lease, and the worker is
-- offline at once, unless another process beats for it or it was registered anew since. Returns
-- whether it is offline now. A process that is not known, or not this worker's, changes nothing.
-- Leases that it still holds are not touched: they end as those of a process that died.
-- Lock order: worker. Writes: worker, worker_session, event. Raises RT400, RT404 worker_not_found.
declare
    v_worker worker;
    v_beat_at timestamptz;
begin
    if p_session_id is null then
        perform refuse_field('session_id', 'Required');
    end if;
    select * into v_worker from worker where worker_id = p_worker_id for update;
    if not found then
        perform refuse(404, 'worker_not_found', 'Worker not found',
            jsonb_build_object('worker_id', left(p_worker_id, 200)));
    end if;
    select beat_at into v_beat_at from worker_session
     where session_id = p_session_id and worker_id = p_worker_id;
    if not found then
        return v_worker.status <> 'online';
    end if;
    delete from worker_session s
     where s.session_id = p_session_id
       and not exists (select from lease l
            where l.worker_id = p_worker_id and l.session_id = p_session_id);
    if v_worker.status <> 'online' or v_worker.last_seen_at > v_beat_at
        or exists (select from worker_session s
            where s.worker_id = p_worker_id and s.session_id <> p_session_id
              and s.beat_at >= clock_timestamp() - interval '60 seconds')
    then
        return v_worker.status <> 'online';
    end if;
    update worker set status = 'offline', last_seen_at = clock_timestamp()
     where worker_id = p_worker_id;
    perform event_note('worker_updated', 'worker/' || p_worker_id, actor_of_worker(p_worker_id),
        '{"status": "offline", "reason": "its process ended"}');
    return true;
end
$$;
comment on function bloom.worker_leave(text, uuid) is 'Says that a worker process ends.';
