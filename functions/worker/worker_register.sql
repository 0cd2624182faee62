create or replace function bloom.worker_register(p_worker_id text, p_options jsonb default '{}')
returns setof bloom.worker_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Registers a worker by name, or updates it: what is not given stays as it is. created tells which.
--   p_options  url, status ("online"), claude_cli, max_concurrency 1–1000, labels, ip_addrs,
--              agent_version, os_info, install_method, credential (the name of the account that it
--              works with; one of its own, worker:NAME, unless it ever named one), actor
-- A lowered max_concurrency holds for new leases at once; live ones go on. Sessions that hold no
-- lease are forgotten: the silence of a process that went away is not that of one that comes in its
-- place and perhaps never beats.
-- Lock order: worker, worker_session, worker_slot. Writes: worker, worker_session, worker_slot,
-- event. Raises RT400, RT409 too_many_workers.
declare
    v_actor text;
    v_new boolean;
    v_row bloom.worker_row;
    v_slots integer;
begin
    perform check_text('name', p_worker_id, 1, 128);
    perform worker_options_check(p_options);
    v_actor := actor(p_options);
    v_slots := option_integer(p_options, 'max_concurrency', null, 1, 1000);
    loop
        insert into worker (worker_id) values (p_worker_id) on conflict (worker_id) do nothing;
        v_new := found;
        perform from worker where worker_id = p_worker_id for no key update;
        -- Not there where it was removed between the two.
        exit when found;
    end loop;
    if v_new and (select count(*) from worker) > 10000 then
        perform refuse(409, 'too_many_workers', 'There are 10000 workers already');
    end if;
    update worker set
        url = option_text(p_options, 'url', url, 2048),
        status = option_text(p_options, 'status', 'online', 20),
        claude_cli = option_boolean(p_options, 'claude_cli', claude_cli),
        labels = option_texts(p_options, 'labels', labels, 100, 128),
        ip_addrs = option_texts(p_options, 'ip_addrs', ip_addrs, 100, 128),
        agent_version = option_text(p_options, 'agent_version', agent_version, 128),
        os_info = option_text(p_options, 'os_info', os_info, 512),
        install_method = option_text(p_options, 'install_method', install_method, 128),
        credential = option_text(p_options, 'credential', credential, 128),
        source = 'direct',
        vanished = false,
        last_seen_at = clock_timestamp()
     where worker_id = p_worker_id;
    delete from worker_session s where s.worker_id = p_worker_id and not exists (
        select from lease l where l.worker_id = p_worker_id and l.session_id = s.session_id);
    insert into worker_slot as s (worker_id, max_concurrency, capacity)
    values (p_worker_id, coalesce(v_slots, 1), coalesce(v_slots, 1))
    on conflict (worker_id) do update
       set max_concurrency = coalesce(v_slots, s.max_concurrency),
           capacity = greatest(coalesce(v_slots, s.max_concurrency), s.active);
    perform event_note(case when v_new then 'worker_registered' else 'worker_updated' end,
        'worker/' || p_worker_id, v_actor);
    select * into v_row from worker_rows(p_worker_id);
    v_row.created := v_new;
    return next v_row;
end
$$;
comment on function bloom.worker_register(text, jsonb) is 'Registers or updates a worker.';
