create or replace function bloom.audit_unsealed(p_limit integer default 5000)
returns table (xid text, seq bigint, body text)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC' as $$
-- The first p_limit (1–10000) events that no seal covers and that nothing can come before any more,
-- in the order of the log, each as the text that a seal covers. Raises RT400.
declare
    v_xid xid8;
    v_seq bigint;
begin
    perform check_range('limit', p_limit, 1, 10000);
    select s.to_xid, s.to_seq into v_xid, v_seq from seal s order by s.seal_id desc limit 1;
    return query select e.xid::text, e.seq, event_text(e) from event e
      where (e.xid, e.seq) > (coalesce(v_xid, '0'), coalesce(v_seq, 0))
        and e.xid < pg_snapshot_xmin(pg_current_snapshot())
      order by e.xid, e.seq limit p_limit;
end
$$;
comment on function bloom.audit_unsealed(integer) is
    'The next events to seal. For the service.';
