create or replace function bloom_private.event_window(
    p_before_xid xid8, p_before_seq bigint, p_limit integer, p_subjects_only boolean
) returns setof bloom_private.event
language plpgsql stable as $$
-- The newest p_limit events below a position (null: the newest of all); with p_subjects_only, of
-- those that concern no task.
declare
    v_xid xid8 := coalesce(p_before_xid, '18446744073709551615');
    v_seq bigint := coalesce(p_before_seq, 9223372036854775807);
begin
    if p_subjects_only then
        return query select e.* from event e
          where e.subject is not null and (e.xid, e.seq) < (v_xid, v_seq)
          order by e.xid desc, e.seq desc limit p_limit;
    else
        return query select e.* from event e where (e.xid, e.seq) < (v_xid, v_seq)
          order by e.xid desc, e.seq desc limit p_limit;
    end if;
end
$$;
comment on function bloom_private.event_window(xid8, bigint, integer, boolean) is
    'The newest events below a position.';
