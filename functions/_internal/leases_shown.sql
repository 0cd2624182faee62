create or replace function bloom_private.leases_shown(
    p_status text, p_limit integer, p_before uuid
) returns setof bloom.lease_row
language plpgsql stable as $$
-- Leases as clients see them. Ended ones come from an index per outcome, read backwards; of an
-- error, which may be 1 MiB long, a list shows the beginning.
declare
    v_outcomes text[] := case p_status
        when 'expired' then array['expired'] when 'failed' then array['failed']
        when 'released' then array['completed', 'released', 'cancelled', 'removed']
        when 'active' then '{}'
        else array['expired', 'failed', 'completed', 'released', 'cancelled', 'removed'] end;
begin
    if p_status not in ('active', 'expired', 'failed', 'released') then
        return;
    end if;
    return query
        select s.* from (
            (select (lease_shown(l)).* from lease l
              where coalesce(p_status, 'active') = 'active' and l.lease_id < p_before
              order by l.lease_id desc limit p_limit)
            union all
            (select a.lease_id, a.task_id, a.worker_id, a.session_id, a.started_at,
                    a.expires_at, a.ttl_seconds,
                    case a.outcome when 'expired' then 'expired' when 'failed' then 'failed'
                         else 'released' end,
                    a.last_heartbeat, t.context_id, a.fence, a.attempt, a.ended_at, a.outcome,
                    left(a.error_message, 1000)
               from unnest(v_outcomes) o(outcome)
              cross join lateral (select * from attempt x
                     where x.outcome = o.outcome and x.lease_id < p_before
                     order by x.lease_id desc limit p_limit) a
              cross join lateral task_of(a.task_id) t)) s
         order by s.lease_id desc limit p_limit;
end
$$;
comment on function bloom_private.leases_shown(text, integer, uuid) is
    'Leases as clients see them.';
