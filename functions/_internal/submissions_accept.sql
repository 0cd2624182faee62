create or replace function bloom_private.submissions_accept(
    p_items bloom_private.submission[], p_atomic boolean, p_actor text, p_actors text[]
) returns setof bloom_private.submission
language plpgsql volatile as $$
-- The write side of task_submit_many: settles idempotency keys, stores the submissions and puts
-- each task into its first state, set by set. p_actors names the actor of each item, where it is
-- given.
declare
    v_now timestamptz := clock_timestamp();
    v_keyed boolean := false;
    v_later boolean := false;
    v_item submission;
begin
    -- A statement costs its triggers even where it has no row to write.
    foreach v_item in array p_items loop
        v_keyed := v_keyed or v_item.idempotency_key is not null;
        v_later := v_later or v_item.run_at > v_now is true;
    end loop;
    if v_keyed then
        p_items := idempotency_settle(p_items, p_atomic, v_now);
    end if;

    insert into task (task_id, queue, context_id, agent_slug, prompt, context_hints, policy,
        desired_format, requires, priority, max_attempts, max_crashes, serial, idempotency_key,
        created_at, created_by)
    select s.task_id, s.queue, s.context_id, s.agent_slug, s.prompt, s.context_hints, s.policy,
        s.desired_format, s.requires, s.priority, s.max_attempts, s.max_crashes, s.serial,
        s.idempotency_key, v_now, coalesce(p_actors[s.ordinality], p_actor)
      from unnest(p_items) with ordinality s where s.is_new;

    if v_later then
        insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
            actor, run_at)
        select s.task_id, s.queue, 'queued', 1, 0, 0, 0, 0, 'submitted',
            coalesce(p_actors[s.ordinality], p_actor), s.run_at
          from unnest(p_items) with ordinality s where s.is_new and s.run_at > v_now;
    end if;

    perform submissions_enqueue(p_items, p_actor, p_actors, v_now);
    return query select s.* from unnest(p_items) s;
end
$$;
comment on function
    bloom_private.submissions_accept(bloom_private.submission[], boolean, text, text[]) is
    'Stores checked submissions and puts them into their first state.';
