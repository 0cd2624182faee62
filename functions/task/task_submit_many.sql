create or replace function bloom.task_submit_many(p_tasks jsonb, p_options jsonb default '{}')
returns table (ordinal integer, task_id uuid, created boolean, error jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Submits up to 10,000 tasks at once. One row per item, in order; created is false where the
-- idempotency key was known already.
--   p_tasks    array of objects: context_id, agent_slug, prompt and the options of task_submit
--   p_options  atomic (true: the first bad item fails all; false: it gets an error of its own),
--              notify (true: tell waiting services), actor, actors (an array: the actor of each
--              item, for a service that submits for several callers at once)
-- Lock order: idempotency keys in order, contexts in order, lanes. Writes: task, ready | deferred |
-- parked, event. Raises RT400, RT409 idempotency_conflict, RT409 too_many_lanes.
declare
    v_actor text;
    v_actors text[];
    v_atomic boolean;
    v_items submission[];
begin
    if p_options <> '{}' is not false then
        perform check_options(p_options, array['atomic', 'notify', 'actor', 'actors']);
    end if;
    v_actor := actor(p_options);
    v_actors := option_texts(p_options, 'actors', null, 10000, 200);
    if v_actors is not null then
        -- For those who may name one actor.
        v_actor := actor(jsonb_build_object('actor', v_actor));
    end if;
    v_atomic := option_boolean(p_options, 'atomic', true);
    if p_tasks is null or jsonb_typeof(p_tasks) <> 'array' then
        perform refuse_field('tasks', 'Expected array');
    end if;
    if jsonb_array_length(p_tasks) not between 1 and 10000 then
        perform check_range('tasks', jsonb_array_length(p_tasks), 1, 10000);
    end if;
    v_items := submissions_read(p_tasks, v_atomic);
    return query
        select s.ordinality::integer, case when s.error is null then s.task_id end,
               coalesce(s.is_new, false), s.error
          from submissions_accept(v_items, v_atomic, v_actor, v_actors) with ordinality s
         order by s.ordinality;
    if option_boolean(p_options, 'notify', true) then
        perform ready_announce(n.queue, n.requires, n.tasks)
           from (select s.queue, s.requires, count(*) as tasks from unnest(v_items) s
                  where s.is_new and (s.run_at is null or s.run_at <= clock_timestamp())
                  group by 1, 2) n;
    end if;
end
$$;
comment on function bloom.task_submit_many(jsonb, jsonb) is 'Submits up to 10,000 tasks.';
