create or replace function bloom_private.session_touch(p_session_id uuid, p_worker_id text)
returns void
language plpgsql volatile as $$
-- Makes sure that a worker process has its session row. Only beats renew it: a process that still
-- asks for work but no longer beats does not keep its leases.
--   raises RT404 worker_not_found (removed meanwhile), RT409 session_of_another_worker
declare
    v_owner text;
begin
    if p_session_id is null then
        return;
    end if;
    select worker_id into v_owner from worker_session where session_id = p_session_id;
    if not found then
        perform from worker where worker_id = p_worker_id for key share;
        if not found then
            perform refuse(404, 'worker_not_found', 'Worker not found',
                jsonb_build_object('worker_id', left(p_worker_id, 200)));
        end if;
        insert into worker_session (session_id, worker_id) values (p_session_id, p_worker_id)
        on conflict (session_id) do nothing;
        -- Two may have come with it at once.
        select worker_id into v_owner from worker_session where session_id = p_session_id;
    end if;
    if v_owner <> p_worker_id then
        perform refuse(409, 'session_of_another_worker',
            'The session belongs to another worker');
    end if;
end
$$;
comment on function bloom_private.session_touch(uuid, text) is
    'Creates the session of a worker process.';
