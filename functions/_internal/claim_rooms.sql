create or replace function bloom_private.claim_rooms(p_claim bloom_private.claim)
returns bloom_private.claim
language plpgsql volatile as $$
-- Locks the counters of the workers that ask, in order, and notes how many tasks each request wants
-- and how many its worker has room for. The room of a worker is kept with its first request
-- (leaders). Of a request that is there twice only the first counts. Who held a counter may have
-- reported a limit of the worker, or changed its labels: with the counters locked those who ask are
-- looked at again.
declare
    v_room integer;
    v_n integer;
begin
    if cardinality(p_claim.asked) = 1 then
        select greatest(0, s.max_concurrency - s.active) into v_room from worker_slot s
         where s.worker_id = p_claim.asked[1].worker_id for no key update;
        p_claim.wants := array[case when p_claim.asked[1].is_open and exists (
                select from worker w
                 where w.worker_id = p_claim.asked[1].worker_id and not w.draining and w.claude_cli
                   and w.labels = p_claim.asked[1].labels
                   and not exists (select from credential c where c.name = credential_of(w)
                          and c.exhausted_until > clock_timestamp()))
            then p_claim.asked[1].max_tasks else 0 end];
        p_claim.leaders := array[1];
        p_claim.rooms := array[coalesce(v_room, 0)];
        return p_claim;
    end if;
    perform from worker_slot
      where worker_id = any (array(select distinct a.worker_id from unnest(p_claim.asked) a
                where a.is_open))
      order by worker_id for no key update;
    for v_n in
        select a.ordinality from unnest(p_claim.asked) with ordinality a
         where a.is_open and not exists (
               select from worker w
                where w.worker_id = a.worker_id and not w.draining and w.claude_cli
                  and w.labels = a.labels
                  and not exists (select from credential c where c.name = credential_of(w)
                         and c.exhausted_until > clock_timestamp()))
    loop
        p_claim.asked[v_n].is_open := false;
    end loop;
    select array_agg(case when x.is_open and x.copy = 1 then x.max_tasks else 0 end order by x.n),
           array_agg(x.leader order by x.n),
           array_agg(greatest(0, coalesce(s.max_concurrency - s.active, 0)) order by x.n)
      into p_claim.wants, p_claim.leaders, p_claim.rooms
      from (select a.ordinality::integer as n, a.worker_id, a.is_open, a.max_tasks,
                   min(a.ordinality::integer) over (partition by a.worker_id) as leader,
                   row_number() over (partition by a.worker_id,
                       coalesce(a.request_id::text, a.ordinality::text)
                       order by a.ordinality) as copy
              from unnest(p_claim.asked) with ordinality a) x
      left join worker_slot s on s.worker_id = x.worker_id;
    return p_claim;
end
$$;
comment on function bloom_private.claim_rooms(bloom_private.claim) is
    'How many tasks each request for work may get.';
