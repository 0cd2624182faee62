create or replace function bloom.task_cancel_many(p_task_ids uuid[], p_options jsonb default '{}')
returns table (ordinal integer, task_id uuid, status text, error jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
-- Cancels up to 1000 tasks, each as task_cancel does and each with an answer of its own: its status
-- now, and, where that is beyond cancelling or there is no such task, error {code, message,
-- status}. One row per id, in order.
--   p_options  reason (text), grace_seconds (1–3600, 60), actor
-- Lock order: the state rows in order of id, context_slot by context, parked. Writes: as
-- task_cancel. Raises RT400.
declare
    v_actor text;
    v_detail jsonb;
    v_grace integer;
    v_ids uuid[];
    v_states text[];
    v_over uuid[];
begin
    perform check_options(p_options, array['reason', 'grace_seconds', 'actor']);
    v_actor := actor(p_options);
    v_grace := option_integer(p_options, 'grace_seconds', 60, 1, 3600);
    v_detail := jsonb_build_object('reason',
        coalesce(option_text(p_options, 'reason', null, 2000), 'cancelled'));
    v_ids := ids_in_order(p_task_ids);
    for v_i in 1 .. cardinality(v_ids) loop
        v_states[v_i] := task_stop(v_ids[v_i], v_actor, v_detail, make_interval(secs => v_grace));
        if v_states[v_i] = 'cancelled' then
            v_over := v_over || v_ids[v_i];
        end if;
    end loop;
    perform context_pass_on(v_over);
    return query
        select i.n::integer, i.id, s.status, case
            when s.status is null then jsonb_build_object('code', 'task_not_found', 'status', 404,
                'message', 'Task not found')
            when s.status in ('completed', 'dead') then jsonb_build_object('code', 'wrong_status',
                'status', 409,
                'message', format('Cannot cancel task with status ''%s''', s.status)) end
          from unnest(p_task_ids) with ordinality i(id, n)
         cross join lateral (select v_states[array_position(v_ids, i.id)]) s(status)
         order by i.n;
end
$$;
comment on function bloom.task_cancel_many(uuid[], jsonb) is 'Cancels many tasks.';
