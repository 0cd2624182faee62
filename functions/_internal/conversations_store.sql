create or replace function bloom_private.conversations_store(
    p_leases bloom_private.lease[], p_places integer[], p_statuses text[], p_ends timestamptz[],
    p_given bloom_private.completion[]
) returns void
language plpgsql volatile as $$
-- Of the leases that completions_end ended: keeps the conversations that successes named.
-- Lock order: context_session by context.
declare
    v_i integer;
begin
    for v_i in
        select i from generate_subscripts(p_leases, 1) i
         where p_statuses[i] = 'completed' and p_given[p_places[i]].conversation is not null
         order by p_leases[i].context_id
    loop
        perform conversation_store(p_leases[v_i],
            p_given[p_places[v_i]].conversation ->> 'session_id', p_ends[v_i]);
    end loop;
end
$$;
comment on function bloom_private.conversations_store(bloom_private.lease[], integer[], text[],
    timestamptz[], bloom_private.completion[]) is
    'Keeps the conversations that results name.';
