create or replace function bloom.task_log_read(
    p_task_id uuid, p_after_fence integer default 0, p_after_position bigint default -1,
    p_limit integer default 100
) returns setof bloom.log_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The live log of a task, all its attempts in order: at most p_limit (1–1000) pieces after the one
-- at (p_after_fence, p_after_position). Pieces of one lease are written one after the other, so a
-- reader that goes on from its last piece misses nothing. Raises RT400, RT404 task_not_found.
begin
    perform check_range('limit', p_limit, 1, 1000);
    if p_after_fence is null or p_after_position is null then
        perform refuse_field('after', 'Required');
    end if;
    return query
        select g.fence, coalesce(a.attempt, l.attempts), coalesce(a.lease_id, l.lease_id),
               g.position, g.at, g.text
          from (select t.* from task_log t
                 where t.task_id = p_task_id
                   and (t.fence, t.position) > (p_after_fence, p_after_position)
                 order by t.fence, t.position limit p_limit) g
          left join attempt a on a.task_id = g.task_id and a.fence = g.fence
          left join lease l on l.task_id = g.task_id and l.fence = g.fence
         order by g.fence, g.position;
    if not found and not exists (select from task where task_id = p_task_id) then
        perform task_missing(p_task_id);
    end if;
end
$$;
comment on function bloom.task_log_read(uuid, integer, bigint, integer) is
    'The live log of a task.';
