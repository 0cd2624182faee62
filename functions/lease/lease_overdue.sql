create or replace function bloom.lease_overdue(p_limit integer default 100) returns setof uuid
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = on set enable_hashjoin = on set enable_nestloop = off set jit = off as $$
-- The tasks whose leases have run out, at most p_limit (1–10000), in one pass over the live leases
-- and the sessions: every second, so neither a look into an index nor a call for each lease. Only
-- those that may have run out (offset 0: before the planner could ask it of all) are asked
-- lease_expiry.
declare
    v_now timestamptz := clock_timestamp();
begin
    perform check_range('limit', p_limit, 1, 10000);
    return query
        select o.task_id from (
            select l.task_id, l
              from lease l left join worker_session s on s.session_id = l.session_id
             where l.cancel_deadline < v_now
                or case when l.session_id is null then l.expires_at < v_now
                        else l.unlisted_at is not null or s.session_id is null
                             or s.beat_at + make_interval(secs => l.ttl_seconds) < v_now end
            offset 0
        ) o where lease_expiry(o.l) < v_now limit p_limit;
end
$$;
comment on function bloom.lease_overdue(integer) is 'Tasks whose leases have run out.';
