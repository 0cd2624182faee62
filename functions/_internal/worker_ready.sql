create or replace function bloom_private.worker_ready(p_worker_id text)
returns bloom_private.worker
language plpgsql stable as $$
-- The worker that asks for work. Asking is a sign of life, so its recorded status is no obstacle.
--   raises RT404 worker_not_found, RT409 worker_not_capable
declare
    v_worker worker;
begin
    select * into v_worker from worker where worker_id = p_worker_id;
    if not found then
        perform refuse(404, 'worker_not_found', 'Worker not found',
            jsonb_build_object('worker_id', left(p_worker_id, 200)));
    end if;
    if not v_worker.claude_cli then
        perform refuse(409, 'worker_not_capable',
            'The worker registered with claude_cli false, so it cannot run tasks',
            jsonb_build_object('worker_id', p_worker_id));
    end if;
    return v_worker;
end
$$;
comment on function bloom_private.worker_ready(text) is 'Finds a worker that may lease.';
