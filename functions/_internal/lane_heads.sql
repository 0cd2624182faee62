create or replace function bloom_private.lane_heads(
    p_lane_id integer, p_mark bigint, p_pin_wait_ms integer, p_limit integer
) returns tid[]
language plpgsql volatile as $$
-- Locks up to p_limit tasks at the head of a lane for requests of several workers. Tasks whose
-- context or conversation some worker has are left to it (claim_own) for the first p_pin_wait_ms.
-- See claim_lane.
begin
    return array(
        select r.ctid from ready r
         where r.lane_id = p_lane_id and r.seq >= p_mark
           and (r.ready_at < clock_timestamp() - make_interval(secs => p_pin_wait_ms / 1000.0)
                or (select l.worker_id from lease l where l.context_id = r.context_id limit 1)
                        is null
                   and (select s.worker_id from context_session s
                         where s.context_id = r.context_id
                           and worker_is_live(s.worker_id, '{}')) is null)
         order by r.seq limit p_limit for update skip locked);
end
$$;
comment on function bloom_private.lane_heads(integer, bigint, integer, integer) is
    'Locks the first tasks of a lane.';
