create or replace function bloom_private.event_trail(
    p_task_id uuid, p_subject text, p_before_xid xid8, p_before_seq bigint, p_limit integer
) returns setof bloom_private.event
language plpgsql stable as $$
-- The events of one task, by version, or of one subject, by position; newest first, below a
-- position (null: from the newest on). Versions, since two transactions may write to a task in
-- another order than that of their ids.
declare
    v_xid xid8 := coalesce(p_before_xid, '18446744073709551615');
    v_seq bigint := coalesce(p_before_seq, 9223372036854775807);
    v_ver integer;
begin
    if p_task_id is not null then
        v_ver := case when p_before_xid is null then 2147483647 else (select e.ver from event e
            where e.xid = v_xid and e.seq = v_seq and e.task_id = p_task_id) end;
        return query select e.* from event e where e.task_id = p_task_id and e.ver < v_ver
          order by e.ver desc limit p_limit;
    else
        return query select e.* from event e
          where e.subject = p_subject and (e.xid, e.seq) < (v_xid, v_seq)
          order by e.xid desc, e.seq desc limit p_limit;
    end if;
end
$$;
comment on function bloom_private.event_trail(uuid, text, xid8, bigint, integer) is
    'The events of one task or subject, newest first.';
