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
    v_claim claim;
    v_again integer;
    v_group record;
    v_lane record;
    v_late boolean;
    v_named boolean := false;
    v_failed boolean := false;
    v_one lease_request;
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
    v_again := cardinality(v_claim.tasks);
    for v_group in
        select a.labels, a.queues, array_agg(a.ordinality::integer order by a.ordinality) as members
          from unnest(v_asked) with ordinality a
         where a.is_open and a.ordinality <> all (v_claim.owners)
         group by 1, 2 order by 1, 2
    loop
        v_late := null;
        for v_lane in select * from lanes_open(v_group.labels, v_group.queues) loop
            if v_claim.wants is null then
                -- Counters are locked only now that there is work: an idle poll writes nothing.
                v_claim := claim_rooms(v_claim);
                if v_named then
                    v_claim := claim_twins(v_claim);
                    v_again := cardinality(v_claim.tasks);
                end if;
            end if;
            if v_late is null then
                -- What waited long goes first; else a worker's own contexts do.
                v_late := v_lane.waited_ms >= v_lane.aging_seconds * 1000;
                if not v_late then
                    v_claim := claim_own(v_claim, v_group.members, v_group.queues);
                end if;
            end if;
            exit when not claim_wants(v_claim, v_group.members);
            v_claim := claim_lane(v_claim, v_group.members, v_lane.lane_id, v_lane.mark,
                v_lane.queue, v_lane.requires, v_lane.max_running, v_lane.pin_wait_ms);
        end loop;
        if v_late then
            v_claim := claim_own(v_claim, v_group.members, v_group.queues);
        end if;
    end loop;
    if v_failed then
        return query
            select a.ordinality::integer, a.error, null::bloom.lease_grant
              from unnest(v_asked) with ordinality a where a.error is not null;
    end if;
    if v_again > 0 then
        perform replay_keep();
        return query
            select o.owner, null::jsonb, g
              from lease_grants(v_claim.tasks[:v_again], true) g
              join unnest(v_claim.tasks[:v_again], v_claim.owners[:v_again]) o(task_id, owner)
                on o.task_id = g.task_id;
    end if;
    if cardinality(v_claim.tasks) > v_again then
        return query
            select v_claim.owners[array_position(v_claim.tasks, g.task_id)], null::jsonb, g
              from lease_grants(v_claim.tasks[v_again + 1:], false) g;
    end if;
end
$$;
comment on function bloom_private.leases_serve(bloom_private.lease_request[]) is
    'Serves requests for work.';
