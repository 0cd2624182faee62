create or replace function bloom_private.claim_own(
    p_claim bloom_private.claim, p_members integer[], p_queues text[]
) returns bloom_private.claim
language plpgsql volatile as $$
-- Takes ready tasks of the contexts that the workers of these requests are busy with already, and
-- of those whose conversation they have while nobody else is busy with them (the 50 latest: a bound
-- for the hot path). Queues with a limit are left to claim_lane, which counts them.
declare
    v_n integer;
    v_worker_id text;
    v_contexts text[];
    v_rows tid[];
begin
    for v_n in
        select m from unnest(p_members) m
         where p_claim.wants[m] > 0 and p_claim.rooms[p_claim.leaders[m]] > 0
           and (exists (select from lease l join ready r on r.context_id = l.context_id
                         where l.worker_id = (p_claim.asked[m]).worker_id)
                or exists (
                    select from (select s.context_id from context_session s
                                  where s.worker_id = (p_claim.asked[m]).worker_id
                                  order by s.updated_at desc limit 50) c
                      join ready r on r.context_id = c.context_id))
    loop
        v_worker_id := p_claim.asked[v_n].worker_id;
        v_contexts := array(
            select context_id from lease where worker_id = v_worker_id
            union
            select c.context_id
              from (select s.context_id from context_session s where s.worker_id = v_worker_id
                     order by s.updated_at desc limit 50) c
             where (select l.worker_id from lease l where l.context_id = c.context_id
                       and l.worker_id <> v_worker_id limit 1) is null);
        v_rows := array(
            select r.ctid from ready r
              join lane l on l.lane_id = r.lane_id
              join queue q on q.name = l.queue
             where r.context_id = any (v_contexts) and l.requires <@ p_claim.asked[v_n].labels
               and not q.paused and q.max_running is null
               and (p_queues is null or l.queue = any (p_queues))
             order by l.priority, l.returned desc, r.seq
             limit least(p_claim.wants[v_n], p_claim.rooms[p_claim.leaders[v_n]])
               for update of r skip locked);
        if cardinality(v_rows) > 0 then
            p_claim := claim_take(p_claim, v_rows, array_fill(v_n, array[cardinality(v_rows)]),
                false);
        end if;
    end loop;
    return p_claim;
end
$$;
comment on function bloom_private.claim_own(bloom_private.claim, integer[], text[]) is
    'Leases ready tasks of workers'' own contexts.';
