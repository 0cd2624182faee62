create or replace function bloom_private.claim_twins(p_claim bloom_private.claim)
returns bloom_private.claim
language plpgsql volatile as $$
-- The same request may have come twice at once, and its twin have ended just before the counters
-- were locked here, or before the lanes were looked at: it gets what the twin got.
declare
    v_twin record;
begin
    for v_twin in select * from leases_requested(p_claim.asked, p_claim.owners) loop
        p_claim.tasks := p_claim.tasks || v_twin.task_id;
        p_claim.owners := p_claim.owners || v_twin.owner;
        p_claim.wants[v_twin.owner] := 0;
    end loop;
    p_claim.again := cardinality(p_claim.tasks);
    return p_claim;
end
$$;
comment on function bloom_private.claim_twins(bloom_private.claim) is
    'Answers requests for work whose twin was served.';
