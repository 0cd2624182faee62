create or replace function bloom_private.claim_lane(
    p_claim bloom_private.claim, p_members integer[], p_lane_id integer, p_mark bigint,
    p_queue text, p_requires text[], p_max_running integer, p_pin_wait_ms integer
) returns bloom_private.claim
language plpgsql volatile as $$
-- Takes tasks from the head of one lane for these requests, in turn. A task whose context another
-- worker is busy with, or, where nobody is, whose conversation another worker has, is left to that
-- worker for the first p_pin_wait_ms. The subselects under array(…) run once and lock what they
-- return; a semijoin on the key could run them again for every row. The looks at leases and
-- conversations are scalars: PostgreSQL 18 would hash all of them for a `not exists`. The queue may
-- have been paused, or limited, since the lanes were looked at: counters were waited for.
declare
    v_seats integer[];
    v_rows tid[];
    v_n integer;
    v_limit integer;
begin
    select max_running into p_max_running from queue where name = p_queue and not paused;
    if not found then
        return p_claim;
    end if;
    if p_max_running is null and cardinality(p_members) > 1 then
        v_seats := array(
            select x.m
              from (select m, k, row_number() over (partition by p_claim.leaders[m] order by k, m)
                           as place
                      from unnest(p_members) m
                     cross join lateral generate_series(1, p_claim.wants[m]) k) x
             where x.place <= p_claim.rooms[p_claim.leaders[x.m]] order by x.k, x.m);
        v_rows := lane_heads(p_lane_id, p_mark, p_pin_wait_ms, cardinality(v_seats));
        if cardinality(v_rows) = 0 then
            return p_claim;
        end if;
        return claim_take(p_claim, v_rows, v_seats[:cardinality(v_rows)], false);
    end if;
    foreach v_n in array p_members loop
        v_limit := least(p_claim.wants[v_n], p_claim.rooms[p_claim.leaders[v_n]]);
        if p_max_running is not null then
            v_limit := least(v_limit, queue_room(p_queue, p_max_running));
        end if;
        continue when v_limit <= 0;
        v_rows := array(
            select r.ctid from ready r
             where r.lane_id = p_lane_id and r.seq >= p_mark
               and (r.ready_at < clock_timestamp() - make_interval(secs => p_pin_wait_ms / 1000.0)
                    or (select l.worker_id from lease l where l.context_id = r.context_id
                           and l.worker_id <> p_claim.asked[v_n].worker_id limit 1) is null
                       and ((select s.worker_id from context_session s
                              where s.context_id = r.context_id
                                and s.worker_id <> p_claim.asked[v_n].worker_id
                                and worker_is_live(s.worker_id, p_requires)) is null
                            or (select l.worker_id from lease l
                                 where l.context_id = r.context_id limit 1) is not null))
             order by r.seq limit v_limit for update skip locked);
        if cardinality(v_rows) > 0 then
            p_claim := claim_take(p_claim, v_rows, array_fill(v_n, array[cardinality(v_rows)]),
                p_max_running is not null);
        end if;
    end loop;
    return p_claim;
end
$$;
comment on function bloom_private.claim_lane(
    bloom_private.claim, integer[], integer, bigint, text, text[], integer, integer) is
    'Leases tasks from the head of one lane.';
