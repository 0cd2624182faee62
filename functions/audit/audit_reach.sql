create or replace function bloom.audit_reach(
    p_before_xid xid8 default null, p_before_seq bigint default null, p_options jsonb default '{}'
) returns table (xid xid8, seq bigint)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
-- How far a filtered audit_list with these arguments looks: the position of the last of its 20,000
-- rows, from which to go on when its page is short; no row where it reaches the end. Raises RT400.
declare
    v_options jsonb := audit_options(p_options);
    v_task uuid := option_uuid(p_options, 'task_id');
    v_subject text := p_options ->> 'subject';
begin
    if v_task is not null or v_subject is not null then
        return query select e.xid, e.seq
          from event_trail(v_task, v_subject, p_before_xid, p_before_seq, 20000) e
         offset 19999;
    else
        return query select e.xid, e.seq
          from event_window(p_before_xid, p_before_seq, 20000,
                   (v_options -> 'subjects_only')::boolean) e
         offset 19999;
    end if;
end
$$;
comment on function bloom.audit_reach(xid8, bigint, jsonb) is
    'How far a filtered audit_list looks.';
