create or replace function bloom.audit_end() returns xid8
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Where the event log ends for its readers: with the cursor (audit_end(), 0), audit_read shows what
-- it could not show before this call, and all of that.
select pg_snapshot_xmin(pg_current_snapshot())
$$;
comment on function bloom.audit_end() is 'Where the event log ends for its readers.';
