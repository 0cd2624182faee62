create or replace function bloom.audit_sealed(p_seal_id bigint)
returns table (task_id uuid, ver integer, subject text, body text)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC' as $$
-- The events that a seal covers as they are now, in the order of the log, each with the text that
-- the seal covers. Of seal 0 those that no seal can ever cover, of which there are none: before the
-- oldest seal, or later than every transaction.
declare
    s seal;
begin
    if p_seal_id = 0 then
        select * into s from seal x order by x.seal_id limit 1;
        return query select e.task_id, e.ver, e.subject, event_text(e) from event e
          where (e.xid, e.seq) <= (s.from_xid, s.from_seq)
             or e.xid >= pg_snapshot_xmax(pg_current_snapshot())
          order by e.xid, e.seq limit 1000;
        return;
    end if;
    select * into s from seal x where x.seal_id = p_seal_id;
    return query select e.task_id, e.ver, e.subject, event_text(e) from event e
      where (e.xid, e.seq) > (s.from_xid, s.from_seq) and (e.xid, e.seq) <= (s.to_xid, s.to_seq)
      order by e.xid, e.seq;
end
$$;
comment on function bloom.audit_sealed(bigint) is 'The events that a seal covers.';
