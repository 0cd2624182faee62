create or replace function bloom.task_promote(p_limit integer default 1000) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Makes ready what was deferred until now, oldest first, at most p_limit (1–10000); returns how
-- many. A retry of a serial task still holds its context's turn; a scheduled one has to take it.
-- Lock order: deferred (skip locked), context_slot in order, lane. Writes: deferred -> ready |
-- parked, event. Raises RT400.
declare
    v_due deferred[];
    v_parked uuid[] := '{}';
    v_item record;
begin
    perform check_range('limit', p_limit, 1, 10000);
    with due as (
        delete from deferred d
         where d.ctid = any (array(
                select c.ctid from deferred c where c.run_at <= clock_timestamp()
                 order by c.run_at limit p_limit for update skip locked))
        returning d as moved
    )
    select array_agg(moved order by (moved).run_at, (moved).task_id) into v_due from due;
    if v_due is null then
        return 0;
    end if;
    for v_item in
        select d.task_id, t.context_id from unnest(v_due) d cross join lateral task_of(d.task_id) t
         where t.serial order by t.context_id, d.run_at, d.task_id
    loop
        if not context_acquire(v_item.context_id, v_item.task_id) then
            v_parked := v_parked || v_item.task_id;
        end if;
    end loop;
    insert into parked (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior, actor,
        context_id)
    select d.task_id, d.queue, d.ver + 1, d.epoch, d.fence, d.attempts, d.crashes, 'due', d.status,
        'system', t.context_id
      from unnest(v_due) d cross join lateral task_of(d.task_id) t
     where d.task_id = any (v_parked) order by d.run_at, d.task_id;
    insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior, actor,
        lane_id, context_id)
    select d.task_id, d.queue, d.ver + 1, d.epoch, d.fence, d.attempts, d.crashes, 'due', d.status,
        'system', lane_of(t.queue, t.requires, t.priority, false), t.context_id
      from unnest(v_due) d cross join lateral task_of(d.task_id) t
     where d.task_id <> all (v_parked) order by d.run_at, d.task_id;
    return cardinality(v_due);
end
$$;
comment on function bloom.task_promote(integer) is 'Makes deferred tasks ready that are due.';
