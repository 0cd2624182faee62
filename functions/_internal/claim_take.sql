create or replace function bloom_private.claim_take(
    p_claim bloom_private.claim, p_rows tid[], p_seats integer[], p_counted boolean
) returns bloom_private.claim
language plpgsql volatile as $$
-- Leases locked rows to the requests that p_seats names, and notes who got what.
declare
    v_seat integer;
begin
    p_claim.tasks := p_claim.tasks || lease_take(p_rows, p_claim.asked, p_seats, p_counted);
    p_claim.owners := p_claim.owners || p_seats;
    foreach v_seat in array p_seats loop
        p_claim.wants[v_seat] := p_claim.wants[v_seat] - 1;
        p_claim.rooms[p_claim.leaders[v_seat]] := p_claim.rooms[p_claim.leaders[v_seat]] - 1;
    end loop;
    return p_claim;
end
$$;
comment on function bloom_private.claim_take(
    bloom_private.claim, tid[], integer[], boolean) is
    'Leases locked rows to requests for work.';
