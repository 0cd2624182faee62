create or replace function bloom.audit_seal(p_seal jsonb) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC' as $$
-- Stores the next seal: {"id", "at" (epoch ms), "from", "to" ([xid as text, seq]), and in
-- lower-case hexadecimal "leaves", "root", "prior", "public_key", "signature"}. False where
-- another process was faster: it does not begin where the last one ends, or does not end at an
-- event that nothing can come before any more. Writes: seal. Raises RT400.
declare
    c_number text := '^[0-9]{1,18}$';
    c_digest text := '^[0-9a-f]{64}$';
    v_last seal;
begin
    if (p_seal ->> 'id' ~ c_number and p_seal ->> 'at' ~ c_number
        and p_seal #>> '{from,0}' ~ c_number and p_seal #>> '{from,1}' ~ c_number
        and p_seal #>> '{to,0}' ~ c_number and p_seal #>> '{to,1}' ~ c_number
        and p_seal ->> 'leaves' ~ '^[0-9a-f]+$' and length(p_seal ->> 'leaves') % 64 = 0
        and p_seal ->> 'root' ~ c_digest and p_seal ->> 'prior' ~ c_digest
        and p_seal ->> 'public_key' ~ c_digest
        and p_seal ->> 'signature' ~ '^[0-9a-f]{128}$') is not true then
        perform refuse_field('seal', 'Expected a seal');
    end if;
    select * into v_last from seal s order by s.seal_id desc limit 1;
    insert into seal (seal_id, at_ms, from_xid, from_seq, to_xid, to_seq, leaves, root, prior,
        public_key, signature)
    select (p_seal ->> 'id')::bigint, (p_seal ->> 'at')::bigint,
        (p_seal #>> '{from,0}')::xid8, (p_seal #>> '{from,1}')::bigint,
        (p_seal #>> '{to,0}')::xid8, (p_seal #>> '{to,1}')::bigint,
        decode(p_seal ->> 'leaves', 'hex'), decode(p_seal ->> 'root', 'hex'),
        decode(p_seal ->> 'prior', 'hex'), decode(p_seal ->> 'public_key', 'hex'),
        decode(p_seal ->> 'signature', 'hex')
     where (p_seal ->> 'id')::bigint = coalesce(v_last.seal_id, 0) + 1
       and ((p_seal #>> '{from,0}')::xid8, (p_seal #>> '{from,1}')::bigint)
           = (coalesce(v_last.to_xid, '0'), coalesce(v_last.to_seq, 0))
       and exists (select from event e where e.xid = (p_seal #>> '{to,0}')::xid8
               and e.seq = (p_seal #>> '{to,1}')::bigint
               and e.xid < pg_snapshot_xmin(pg_current_snapshot()))
        on conflict do nothing;
    return found;
end
$$;
comment on function bloom.audit_seal(jsonb) is 'Stores a seal. For the service.';
