create or replace function bloom_private.claim_lane(
    p_lane_id integer, p_mark bigint, p_queue text, p_requires text[], p_max_running integer,
    p_pin_wait_ms integer, p_limit integer, p_worker_id text, p_session_id uuid,
    p_ttl_seconds integer, p_request_id uuid, p_actor text
) returns uuid[]
language plpgsql volatile as $$
-- Takes up to p_limit tasks from the head of one lane. A task whose context another worker is busy
-- with, or, where nobody is, whose conversation another worker has, is left to that worker for the
-- first p_pin_wait_ms. The subselect under any(array(…)) runs once and locks what it returns; a
-- semijoin on the key could run it again for every row. The looks at leases and conversations are
-- scalars: PostgreSQL 18 would hash all of them for a `not exists`.
declare
    v_limit integer := p_limit;
    v_rows tid[];
begin
    if p_max_running is not null then
        v_limit := least(v_limit, queue_room(p_queue, p_max_running));
    end if;
    if v_limit <= 0 then
        return '{}';
    end if;
    v_rows := array(
        select r.ctid from ready r
         where r.lane_id = p_lane_id and r.seq >= p_mark
           and (r.ready_at < clock_timestamp() - make_interval(secs => p_pin_wait_ms / 1000.0)
                or (select l.worker_id from lease l where l.context_id = r.context_id
                       and l.worker_id <> p_worker_id limit 1) is null
                   and ((select s.worker_id from context_session s
                          where s.context_id = r.context_id and s.worker_id <> p_worker_id
                            and worker_is_live(s.worker_id, p_requires)) is null
                        or (select l.worker_id from lease l
                             where l.context_id = r.context_id limit 1) is not null))
         order by r.seq limit v_limit for update skip locked);
    if cardinality(v_rows) = 0 then
        return '{}';
    end if;
    return lease_take(v_rows, p_worker_id, p_session_id, p_ttl_seconds, p_request_id, p_actor,
        p_max_running is not null);
end
$$;
comment on function bloom_private.claim_lane(integer, bigint, text, text[], integer, integer,
    integer, text, uuid, integer, uuid, text) is 'Leases tasks from the head of one lane.';
