create or replace function bloom_private.leases_serve(p_asked bloom_private.lease_request[])
returns table (ordinal integer, error jsonb, granted bloom.lease_grant)
language plpgsql volatile as $$
#variable_conflict use_column
-- Serves requests for work, all together: a row for each task that one got, with the number of the
-- request, and a row with an error for each that cannot be served. Requests of workers with the
-- same labels, for the same queues, are served from one look at their lanes. Requests that were
-- made before get what they got then.
declare
    v_asked lease_request[] := lease_requests_admit(p_asked);
    v_only boolean := cardinality(v_asked) = 1;
    v_claim claim;
    v_group record;
    v_members integer[] := '{}';
    v_alike boolean := true;
    v_named boolean := false;
    v_failed boolean := false;
    v_one lease_request;
    v_span uuid[];
begin
    foreach v_one in array v_asked loop
        v_named := v_named or v_one.request_id is not null;
        v_failed := v_failed or v_one.error is not null;
    end loop;
    v_claim.asked := v_asked;
    v_claim.tasks := '{}';
    v_claim.owners := '{}';
    if v_named then
        select coalesce(array_agg(task_id), '{}'), coalesce(array_agg(owner), '{}')
          into v_claim.tasks, v_claim.owners from leases_requested(v_asked, '{}');
    end if;
    v_claim.again := cardinality(v_claim.tasks);
    for v_n in 1 .. cardinality(v_asked) loop
        v_one := v_asked[v_n];
        continue when not v_one.is_open or v_n = any (v_claim.owners);
        v_members := v_members || v_n;
        v_alike := v_alike and v_one.labels = v_asked[v_members[1]].labels
            and v_one.queues is not distinct from v_asked[v_members[1]].queues;
    end loop;
    if v_members <> '{}' and v_alike then
        v_one := v_asked[v_members[1]];
        v_claim := claim_group(v_claim, v_members, v_one.labels, v_one.queues, v_named);
    elsif v_members <> '{}' then
        for v_group in
            select a.labels, a.queues, array_agg(m order by m) as members
              from unnest(v_members) m cross join lateral (
                   select v_asked[m].labels, v_asked[m].queues offset 0) a
             group by 1, 2 order by 1, 2
        loop
            v_claim := claim_group(v_claim, v_group.members, v_group.labels, v_group.queues,
                v_named);
        end loop;
    end if;
    if v_named and v_members <> '{}' and v_claim.wants is null then
        -- Nothing was left; a twin may have taken it since we asked for twins.
        v_claim := claim_twins(v_claim);
    end if;
    if v_failed then
        return query
            select a.ordinality::integer, a.error, null::bloom.lease_grant
              from unnest(v_asked) with ordinality a where a.error is not null;
    end if;
    if v_claim.tasks = '{}' then
        return;
    end if;
    v_span := uuid_span(v_claim.tasks);
    if v_claim.again > 0 then
        perform replay_keep();
        return query
            select o.owner, null::jsonb, g
              from lease_grants(v_claim.tasks[:v_claim.again], true, v_span[1], v_span[2]) g
              join unnest(v_claim.tasks[:v_claim.again], v_claim.owners[:v_claim.again])
                   o(task_id, owner)
                on o.task_id = g.task_id;
    end if;
    if cardinality(v_claim.tasks) > v_claim.again then
        return query
            select case when v_only then 1
                        else v_claim.owners[array_position(v_claim.tasks, g.task_id)] end,
                   null::jsonb, g
              from lease_grants(v_claim.tasks[v_claim.again + 1:], false, v_span[1],
                   v_span[2]) g;
    end if;
end
$$;
comment on function bloom_private.leases_serve(bloom_private.lease_request[]) is
    'Serves requests for work.';
