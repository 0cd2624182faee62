create or replace function bloom_private.lease_request_queues(
    p_asked bloom_private.lease_request[], p_queues jsonb
) returns bloom_private.lease_request[]
language plpgsql immutable as $$
-- Adds the queues that the requests of a batch are restricted to. Raises RT400.
begin
    if jsonb_typeof(p_queues) <> 'array' or jsonb_array_length(p_queues) <> cardinality(p_asked)
    then
        perform refuse_field('queues', 'Expected an array with an item for each request');
    end if;
    for v_n in 1 .. cardinality(p_asked) loop
        p_asked[v_n].queues := option_texts(jsonb_build_object('queues', p_queues -> (v_n - 1)),
            'queues', null, 100, 128);
    end loop;
    return p_asked;
end
$$;
comment on function bloom_private.lease_request_queues(bloom_private.lease_request[], jsonb) is
    'Adds the queues of requests for work.';
