create or replace function bloom_private.leases_requested(
    p_asked bloom_private.lease_request[], p_but integer[]
) returns table (task_id uuid, owner integer)
language plpgsql stable as $$
#variable_conflict use_column
-- The tasks that these requests got when they were made before, while their leases live, each with
-- the number of its request; without those of the requests p_but.
begin
    return query
        select l.task_id, a.ordinality::integer
          from unnest(p_asked) with ordinality a
          join lease l on l.worker_id = a.worker_id and l.request_id = a.request_id
         where a.error is null and a.ordinality <> all (p_but);
end
$$;
comment on function bloom_private.leases_requested(bloom_private.lease_request[], integer[]) is
    'The tasks that requests for work got before.';
