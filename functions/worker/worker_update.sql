create or replace function bloom.worker_update(p_worker_id text, p_options jsonb)
returns setof bloom.worker_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- What an operator changes: draining (true: no new leases), status.
--   p_options  draining, status ("online" | "offline"), actor
-- Lock order: worker. Writes: worker, event. Raises RT400, RT404 worker_not_found.
declare
    v_actor text;
    v_status text;
begin
    perform check_options(p_options, array['draining', 'status', 'actor']);
    v_actor := actor(p_options);
    v_status := option_text(p_options, 'status', null, 100);
    if v_status not in ('online', 'offline') then
        perform refuse_field('status', format('Invalid enum value. Expected ''online'' | '
            '''offline'', received ''%s''', v_status));
    end if;
    update worker set
        draining = option_boolean(p_options, 'draining', draining),
        status = coalesce(v_status, status)
     where worker_id = p_worker_id;
    if not found then
        perform refuse(404, 'worker_not_found', 'Worker not found',
            jsonb_build_object('worker_id', left(p_worker_id, 200)));
    end if;
    perform event_note('worker_updated', 'worker/' || p_worker_id, v_actor, p_options - 'actor');
    perform ready_announce(null, null, 1);
    return query select * from worker_rows(p_worker_id);
end
$$;
comment on function bloom.worker_update(text, jsonb) is 'Drains a worker or takes it offline.';
