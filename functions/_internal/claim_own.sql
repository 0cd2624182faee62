create or replace function bloom_private.claim_own(
    p_worker_id text, p_labels text[], p_queues text[], p_limit integer, p_session_id uuid,
    p_ttl_seconds integer, p_request_id uuid, p_actor text
) returns uuid[]
language plpgsql volatile as $$
-- Takes ready tasks of the contexts that this worker is busy with already, and of those whose
-- conversation it has while nobody else is busy with them (the 50 latest: a bound for the hot
-- path). Queues with a limit are left to claim_lane, which counts them.
declare
    v_contexts text[] := array(
        select context_id from lease where worker_id = p_worker_id
        union
        select c.context_id
          from (select s.context_id from context_session s where s.worker_id = p_worker_id
                 order by s.updated_at desc limit 50) c
         where (select l.worker_id from lease l where l.context_id = c.context_id
                   and l.worker_id <> p_worker_id limit 1) is null);
    v_rows tid[];
begin
    if cardinality(v_contexts) = 0 then
        return '{}';
    end if;
    v_rows := array(
        select r.ctid from ready r
          join lane l on l.lane_id = r.lane_id
          join queue q on q.name = l.queue
         where r.context_id = any (v_contexts) and l.requires <@ p_labels and not q.paused
           and q.max_running is null and (p_queues is null or l.queue = any (p_queues))
         order by l.priority, l.returned desc, r.seq limit p_limit for update of r skip locked);
    if cardinality(v_rows) = 0 then
        return '{}';
    end if;
    return lease_take(v_rows, p_worker_id, p_session_id, p_ttl_seconds, p_request_id, p_actor,
        false);
end
$$;
comment on function bloom_private.claim_own(text, text[], text[], integer, uuid, integer, uuid,
    text) is 'Leases ready tasks of a worker''s own contexts.';
