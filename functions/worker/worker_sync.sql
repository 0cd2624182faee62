create or replace function bloom.worker_sync(p_agents jsonb, p_options jsonb default '{}')
returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- One round of the sync with the control plane: takes over each agent that it lists, one bad agent
-- without harm to the others, and takes those offline that it listed once, lists no more, and that
-- have given no sign of life of their own for silent_seconds.
--   p_agents   array of at most 10,000 {name, url, status, last_seen, claude_cli, max_concurrency,
--              labels, ip_addrs, obs_count, db_sha}; all but the name may be missing or null
--   p_options  silent_seconds (60), more (false; true: other agents of this round follow in a call
--              of their own, so nobody is taken for gone yet), actor
-- At most 5,000 workers come from the control plane, so that one that lists ever new names leaves
-- room for those that register themselves.
-- Returns {"listed", "created", "changed", "vanished", "skipped": [{"index", "name", "error"}]};
-- the first 20 that were skipped. Lock order: worker by name, worker_slot. Writes: worker,
-- worker_slot, event. Raises RT400.
declare
    v_actor text;
    v_silent integer;
    v_agent record;
    v_done text;
    v_counts jsonb := '{"created": 0, "changed": 0, "same": 0}';
    v_skipped jsonb := '[]';
    v_vanished integer;
    v_since timestamptz;
    v_room integer := 5000 - (select count(*) from worker where source = 'membridge');
begin
    perform check_options(p_options, array['silent_seconds', 'more', 'actor']);
    v_actor := actor(p_options);
    v_silent := option_integer(p_options, 'silent_seconds', 60, 1, 86400);
    if p_agents is null or jsonb_typeof(p_agents) <> 'array' then
        perform refuse_field('agents', 'Expected array');
    end if;
    perform check_range('agents', jsonb_array_length(p_agents), 0, 10000);
    for v_agent in
        select e.value, e.ordinality - 1 as index
          from jsonb_array_elements(p_agents) with ordinality e order by e.value ->> 'name'
    loop
        begin
            if v_room <= 0 and not exists (
                select from worker where worker_id = v_agent.value ->> 'name')
            then
                perform refuse(409, 'too_many_workers', 'There are 5000 listed workers already');
            end if;
            v_done := worker_listed(v_agent.value, v_actor);
            v_room := v_room - (v_done = 'created')::integer;
            v_counts := jsonb_set(v_counts, array[v_done],
                to_jsonb((v_counts ->> v_done)::integer + 1));
        exception when sqlstate 'RT400' or sqlstate 'RT409' or data_exception then
            if jsonb_array_length(v_skipped) < 20 then
                v_skipped := v_skipped || jsonb_build_object('index', v_agent.index,
                    'name', left(v_agent.value ->> 'name', 128), 'error', left(sqlerrm, 200));
            end if;
        end;
    end loop;
    v_since := case when option_boolean(p_options, 'more', false) then '-infinity'
                    else clock_timestamp() - make_interval(secs => v_silent) end;
    with gone as (
        update worker w set status = 'offline', vanished = true
         where w.worker_id in (select x.worker_id from worker x
             where x.listed_at < v_since and coalesce(x.last_seen_at < v_since, true)
               and x.status <> 'offline'
               and not exists (select from worker_session s
                   where s.worker_id = x.worker_id and s.beat_at >= v_since)
               and not exists (select from lease l
                   where l.worker_id = x.worker_id and l.last_heartbeat >= v_since)
               for no key update skip locked)
        returning w.worker_id
    ), noted as (
        select event_note('worker_updated', 'worker/' || g.worker_id, v_actor,
            '{"status": "offline", "reason": "no longer listed"}') from gone g
    )
    select count(*) into v_vanished from noted;
    return (v_counts - 'same') || jsonb_build_object('listed', jsonb_array_length(p_agents),
        'vanished', v_vanished, 'skipped', v_skipped);
end
$$;
comment on function bloom.worker_sync(jsonb, jsonb) is
    'Takes over the agents that the control plane lists.';
