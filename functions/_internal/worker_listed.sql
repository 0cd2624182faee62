create or replace function bloom_private.worker_listed(p_agent jsonb, p_actor text) returns text
language plpgsql volatile as $$
-- Takes over what the control plane says of one agent: 'created', 'changed' or 'same'. What a
-- worker said of itself stands: the control plane knows no better. Its "unknown" means only that
-- it has not looked, so it changes nothing; an agent it saw within the last minute is online. A
-- worker whose row somebody holds is left to the next round, and one of which nothing new is said
-- is written only every few seconds, however many processes sync.
-- Raises RT400, RT409 too_many_workers.
declare
    v_now timestamptz := clock_timestamp();
    v_name text := option_text(p_agent, 'name', null, 128);
    v_status text := option_text(p_agent, 'status', 'unknown', 100);
    v_seen timestamptz := option_time(p_agent, 'last_seen');
    v_slots integer := option_integer(p_agent, 'max_concurrency', null, 1, 32);
    v_old worker;
    v_new worker;
begin
    perform check_options(p_agent, array['name', 'url', 'status', 'last_seen', 'claude_cli',
        'max_concurrency', 'labels', 'ip_addrs', 'obs_count', 'db_sha']);
    perform check_text('name', v_name, 1, 128);
    v_seen := case when v_seen > v_now then v_now else v_seen end;
    if v_status not in ('online', 'offline', 'syncing', 'error') then
        v_status := case when v_seen > v_now - interval '60 s' then 'online'
                         else 'unknown' end;
    end if;
    insert into worker (worker_id, status, source, last_seen_at)
    values (v_name, v_status, 'membridge', v_seen) on conflict (worker_id) do nothing;
    if found then
        if (select count(*) from worker) > 10000 then
            perform refuse(409, 'too_many_workers', 'There are 10000 workers already');
        end if;
        insert into worker_slot (worker_id, max_concurrency, capacity)
        values (v_name, coalesce(v_slots, 1), coalesce(v_slots, 1));
    end if;
    select * into v_old from worker where worker_id = v_name for no key update skip locked;
    if not found then
        return 'same';
    end if;
    v_new := v_old;
    v_new.obs_count := option_integer(p_agent, 'obs_count', v_old.obs_count::integer, 0,
        2147483647);
    v_new.db_sha := option_text(p_agent, 'db_sha', v_old.db_sha, 128);
    if v_old.source = 'membridge' then
        v_new.url := option_text(p_agent, 'url', v_old.url, 2048);
        v_new.claude_cli := option_boolean(p_agent, 'claude_cli', v_old.claude_cli);
        v_new.labels := option_texts(p_agent, 'labels', v_old.labels, 100, 128);
        v_new.ip_addrs := option_texts(p_agent, 'ip_addrs', v_old.ip_addrs, 100, 128);
        v_new.status := case when v_status = 'unknown' and not v_old.vanished then v_old.status
                             else v_status end;
        update worker_slot
           set max_concurrency = v_slots, capacity = greatest(v_slots, active)
         where worker_id = v_name and max_concurrency <> v_slots;
    else
        v_new.url := case when v_old.url = '' then option_text(p_agent, 'url', '', 2048)
                          else v_old.url end;
        v_new.status := case when not v_old.vanished then v_old.status
                             when v_status in ('offline', 'error') then v_status
                             else 'online' end;
    end if;
    if v_new is not distinct from v_old and not v_old.vanished
        and v_old.listed_at > v_now - interval '5 s'
        and (v_seen is null or v_seen <= v_old.last_seen_at)
    then
        return 'same';
    end if;
    update worker
       set (url, claude_cli, labels, ip_addrs, status, obs_count, db_sha, last_seen_at, listed_at,
            vanished) = (v_new.url, v_new.claude_cli, v_new.labels, v_new.ip_addrs, v_new.status,
            v_new.obs_count, v_new.db_sha, greatest(v_old.last_seen_at, v_seen), v_now, false)
     where worker_id = v_name;
    if v_old.listed_at is null and v_old.source = 'membridge' then
        perform event_note('worker_registered', 'worker/' || v_name, p_actor);
        return 'created';
    elsif v_new is distinct from v_old then
        perform event_note('worker_updated', 'worker/' || v_name, p_actor,
            jsonb_build_object('status', v_new.status));
        return 'changed';
    end if;
    return 'same';
end
$$;
comment on function bloom_private.worker_listed(jsonb, text) is
    'Takes over what the control plane says of one agent.';
