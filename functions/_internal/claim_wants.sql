create or replace function bloom_private.claim_wants(
    p_claim bloom_private.claim, p_members integer[]
) returns boolean
language plpgsql immutable as $$
-- Whether one of these requests wants more and its worker has room for it.
declare
    v_n integer;
begin
    foreach v_n in array p_members loop
        if p_claim.wants[v_n] > 0 and p_claim.rooms[p_claim.leaders[v_n]] > 0 then
            return true;
        end if;
    end loop;
    return false;
end
$$;
comment on function bloom_private.claim_wants(bloom_private.claim, integer[]) is
    'Whether requests for work are still to be served.';
