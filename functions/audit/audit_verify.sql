create or replace function bloom.audit_verify(
    p_after uuid default null, p_limit integer default 1000
) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC'
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Checks the trails of up to p_limit (1–10000) tasks with ids above p_after against the state
-- machine and against the tasks' state rows: versions without a gap, each from the status that the
-- one before led to, along a transition that there is, the last one as the state row says. What is
-- wrong is looked for in one snapshot, so also while work goes on. {"tasks", "events": how many
-- there were, "next": the id to go on from, null at the end, "bad": the first that is wrong,
-- {"task_id", "ver", "code", "text"}, or null}. Of tasks older than the events that are kept, what
-- is left is checked.
-- Writes nothing. Raises RT400.
declare
    v_ids uuid[];
    v_events bigint;
    v_bad record;
    v_horizon timestamptz;
begin
    perform check_range('limit', p_limit, 1, 10000);
    -- Retention is waited for now, not between two looks.
    lock table event in access share mode;
    v_ids := array(select t.task_id from task t
        where t.task_id > coalesce(p_after, '00000000-0000-0000-0000-000000000000')
        order by t.task_id limit p_limit);
    select min(w)::timestamptz into v_horizon from partition_weeks('event', 'infinity') w;
    select count(*) into v_events
      from unnest(v_ids) i(id) join event e on e.task_id = i.id;
    select * into v_bad from trail_faults(v_ids, coalesce(v_horizon, 'infinity')) limit 1;
    return jsonb_build_object('tasks', cardinality(v_ids), 'events', v_events,
        'next', case when cardinality(v_ids) = p_limit then v_ids[p_limit] end,
        'bad', case when v_bad.task_id is not null then jsonb_build_object(
            'task_id', v_bad.task_id, 'ver', v_bad.ver, 'code', v_bad.code, 'text', v_bad.fault)
            end);
end
$$;
comment on function bloom.audit_verify(uuid, integer) is
    'Checks audit trails against the state machine and the tasks'' states.';
