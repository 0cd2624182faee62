create or replace function bloom.lease_expire(
    p_limit integer default 100, p_tasks uuid[] default null, p_options jsonb default '{}'
) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Ends leases that have run out, at most p_limit (1–10000), and returns how many. The attempt
-- counts, and is a crash: the task is ready again, or dead where a counter is used up, or
-- cancelled where that was asked for. Each lease is checked again, with its row and its session's
-- locked, in the statement that ends it; rows that somebody else holds are left for the next time.
--   p_tasks    only these tasks (for going on past one that cannot be ended)
--   p_options  grace_seconds (30): nothing is ended for so long after the start of Postgres, so
--              that its return is not taken for the death of every worker; actor
-- Lock order: worker_session and lease (skip locked), context_slot, worker_slot, queue_slot.
-- Writes: lease, attempt, ready | finished, event. Raises RT400.
declare
    v_actor text;
    v_now timestamptz := clock_timestamp();
    v_tasks uuid[];
    v_sessions uuid[];
    v_leases lease[];
begin
    perform check_options(p_options, array['grace_seconds', 'actor']);
    perform check_range('limit', p_limit, 1, 10000);
    v_actor := case when p_options ? 'actor' then actor(p_options) else 'system' end;
    if v_now < pg_postmaster_start_time()
        + make_interval(secs => option_integer(p_options, 'grace_seconds', 30, 0, 86400))
    then
        return 0;
    end if;
    v_tasks := coalesce(p_tasks, array(select bloom.lease_overdue(p_limit)));
    -- A beat renews leases without writing to them. With the sessions locked it comes before (and
    -- is seen by the statement below) or after (and finds them gone), at every isolation level.
    v_sessions := array(
        select s.session_id from worker_session s
         where s.session_id in (select l.session_id from lease l where l.task_id = any (v_tasks))
         for share skip locked);
    with gone as (
        delete from lease l
         where l.ctid = any (array(
                select c.ctid from lease c
                 where c.task_id = any (v_tasks) and lease_expiry(c) < v_now
                   and (c.session_id is null or c.session_id = any (v_sessions)
                        or not exists (select from worker_session s
                            where s.session_id = c.session_id))
                 limit p_limit for update skip locked))
           and lease_expiry(l) < v_now
        returning l as ended
    )
    select array_agg(ended) into v_leases from gone;
    if v_leases is null then
        return 0;
    end if;
    perform leases_return(v_leases, 'expired', v_actor, true,
        jsonb_build_object('reason', 'the lease ran out'));
    return cardinality(v_leases);
end
$$;
comment on function bloom.lease_expire(integer, uuid[], jsonb) is 'Ends leases that have run out.';
