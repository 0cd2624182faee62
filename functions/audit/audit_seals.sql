create or replace function bloom.audit_seals(
    p_after bigint default 0, p_limit integer default 100
) returns table (seal_id bigint, at_ms bigint, from_xid text, from_seq bigint, to_xid text,
    to_seq bigint, leaves bytea, root bytea, prior bytea, public_key bytea, signature bytea,
    is_whole boolean)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC' as $$
-- Up to p_limit (1–1000) seals with numbers above p_after, in order; with p_after null the last
-- one. is_whole: no event that it covers has been dropped by retention. Raises RT400.
declare
    v_dropped log_cursor;
begin
    perform check_range('limit', p_limit, 1, 1000);
    select * into v_dropped from log_cursor c where c.name = 'event_dropped';
    return query select s.seal_id, s.at_ms, s.from_xid::text, s.from_seq, s.to_xid::text, s.to_seq,
        s.leaves, s.root, s.prior, s.public_key, s.signature,
        (s.from_xid, s.from_seq) >= (v_dropped.xid, v_dropped.seq)
      from seal s
     where s.seal_id > coalesce(p_after, (select max(x.seal_id) - 1 from seal x))
     order by s.seal_id limit p_limit;
end
$$;
comment on function bloom.audit_seals(bigint, integer) is 'Seals over the event log.';
