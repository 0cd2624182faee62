create or replace function bloom_private.claim_group(
    p_claim bloom_private.claim, p_members integer[], p_labels text[], p_queues text[],
    p_named boolean
) returns bloom_private.claim
language plpgsql volatile as $$
-- Serves requests for work of workers with the same labels, for the same queues (p_members), from
-- one look at their lanes. p_named: some request has a request_id.
declare
    v_lane record;
    v_late boolean;
begin
    for v_lane in select * from lanes_open(p_labels, p_queues) loop
        if p_claim.wants is null then
            -- Counters are locked only now that there is work: an idle poll writes nothing.
            p_claim := claim_rooms(p_claim);
            if p_named then
                p_claim := claim_twins(p_claim);
            end if;
        end if;
        if v_late is null then
            -- What waited long goes first; else a worker's own contexts do.
            v_late := v_lane.waited_ms >= v_lane.aging_seconds * 1000;
            if not v_late then
                p_claim := claim_own(p_claim, p_members, p_queues);
            end if;
        end if;
        exit when not claim_wants(p_claim, p_members);
        p_claim := claim_lane(p_claim, p_members, v_lane.lane_id, v_lane.mark, v_lane.queue,
            v_lane.requires, v_lane.max_running, v_lane.pin_wait_ms);
    end loop;
    if v_late then
        p_claim := claim_own(p_claim, p_members, p_queues);
    end if;
    return p_claim;
end
$$;
comment on function bloom_private.claim_group(
    bloom_private.claim, integer[], text[], text[], boolean) is
    'Serves requests for work that see the same lanes.';
