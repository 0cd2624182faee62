create or replace function bloom.task_requeue_many(p_task_ids uuid[], p_options jsonb default '{}')
returns table (ordinal integer, task_id uuid, status text, error jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
-- Requeues up to 1000 tasks, each as task_requeue does and each with an answer of its own: its
-- status now, and, where it could not be requeued or there is no such task, error {code, message,
-- status}. One row per id, in order.
--   p_options  actor
-- Lock order: the state rows in order of id, context_slot in order of context, lane. Writes: as
-- task_requeue. Raises RT400.
declare
    v_actor text;
    v_ids uuid[];
    v_refused text[];
    v_i integer;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    v_ids := ids_in_order(p_task_ids);
    perform from deferred where task_id = any (v_ids) and status = 'failed'
      order by task_id for update;
    perform from finished where task_id = any (v_ids) and status in ('dead', 'cancelled')
      order by task_id for update;
    for v_i in
        select i.n from unnest(v_ids) with ordinality i(id, n) left join lateral task_of(i.id) t
            on true order by t.context_id, i.n
    loop
        v_refused[v_i] := task_restart(v_ids[v_i], v_actor);
    end loop;
    return query
        select i.n::integer, i.id, case when s.refused is null then 'queued'
                when s.refused <> 'missing' then s.refused end, case
            when s.refused = 'missing' then jsonb_build_object('code', 'task_not_found',
                'status', 404, 'message', 'Task not found')
            when s.refused is not null then jsonb_build_object('code', 'wrong_status',
                'status', 409,
                'message', format('Cannot requeue task with status ''%s''', s.refused)) end
          from unnest(p_task_ids) with ordinality i(id, n)
         cross join lateral (select v_refused[array_position(v_ids, i.id)]) s(refused)
         order by i.n;
end
$$;
comment on function bloom.task_requeue_many(uuid[], jsonb) is 'Starts many tasks anew.';
