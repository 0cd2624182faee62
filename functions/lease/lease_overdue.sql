create or replace function bloom.lease_overdue(p_limit integer default 100) returns setof uuid
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The tasks whose leases have run out, at most p_limit (1–10000): leases without a session by
-- their own date (an index), those with one by its last beat (one pass over the live leases), and
-- leases past a cancel deadline.
declare
    v_now timestamptz := clock_timestamp();
begin
    perform check_range('limit', p_limit, 1, 10000);
    return query
        select o.task_id from (
            select l.task_id from lease l
             where l.session_id is null and l.expires_at < v_now
            union all
            select l.task_id
              from lease l left join worker_session s on s.session_id = l.session_id
             where l.session_id is not null
               and (s.session_id is null or l.unlisted_at is not null
                    or l.cancel_deadline < v_now
                    or s.beat_at + make_interval(secs => l.ttl_seconds) < v_now)
               and lease_expiry(l) < v_now
            union all
            select l.task_id from lease l
             where l.session_id is null and l.expires_at >= v_now and l.cancel_deadline < v_now
        ) o limit p_limit;
end
$$;
comment on function bloom.lease_overdue(integer) is 'Tasks whose leases have run out.';
