create or replace function bloom_private.submissions_enqueue(
    p_items bloom_private.submission[], p_actor text, p_actors text[], p_now timestamptz
) returns void
language plpgsql volatile as $$
-- The submissions that may run at once: into ready, or, where their serial context is busy, into
-- parked. Contexts are taken in order, so that two batches cannot wait for each other.
declare
    v_one submission;
    v_item record;
    v_serial boolean := false;
    v_parked boolean := false;
begin
    foreach v_one in array p_items loop
        v_serial := v_serial or v_one.serial is true;
    end loop;
    if v_serial then
        for v_item in
            select s.ordinality as i, s.context_id, s.task_id
              from unnest(p_items) with ordinality s
             where s.is_new and s.serial and coalesce(s.run_at <= p_now, true)
             order by 2, 1
        loop
            p_items[v_item.i].is_parked :=
                not context_acquire(v_item.context_id, v_item.task_id);
            v_parked := v_parked or p_items[v_item.i].is_parked;
        end loop;
    end if;

    if v_parked then
        insert into parked (task_id, queue, ver, epoch, fence, attempts, crashes, cause, actor,
            context_id)
        select s.task_id, s.queue, 1, 0, 0, 0, 0, 'submitted',
            coalesce(p_actors[s.ordinality], p_actor), s.context_id
          from unnest(p_items) with ordinality s
         where s.is_parked order by s.ordinality;
    end if;

    with lanes as materialized (
        select x.queue, x.requires, x.priority,
               lane_of(x.queue, x.requires, x.priority, false) as lane_id
          from (select distinct s.queue, s.requires, s.priority
                  from unnest(p_items) s where s.is_new order by 1, 2, 3) x
    )
    insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, actor,
        lane_id, context_id)
    select s.task_id, s.queue, 1, 0, 0, 0, 0, 'submitted',
        coalesce(p_actors[s.ordinality], p_actor), l.lane_id, s.context_id
      from unnest(p_items) with ordinality s
      join lanes l on l.queue = s.queue and l.requires = s.requires and l.priority = s.priority
     where s.is_new and not s.is_parked and coalesce(s.run_at <= p_now, true)
     order by s.ordinality;
end
$$;
comment on function bloom_private.submissions_enqueue(
    bloom_private.submission[], text, text[], timestamptz) is
    'Puts new tasks that are due into ready or parked.';
