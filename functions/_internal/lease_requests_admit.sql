create or replace function bloom_private.lease_requests_admit(
    p_asked bloom_private.lease_request[]
) returns bloom_private.lease_request[]
language plpgsql volatile as $$
-- Which requests for work can be served at all: fills in labels, is_open and error. Asking is a
-- sign of life, so a worker's recorded status is no obstacle; one that is draining or whose
-- credential is exhausted is answered with nothing. Makes sure that each process has its session.
-- Raises RT404 where a worker is removed meanwhile.
declare
    v_asked lease_request[];
    v_has_new boolean;
    v_new record;
begin
    select array_agg(row(a.worker_id, a.session_id, a.max_tasks, a.ttl_seconds, a.request_id,
               a.queues, a.actor, w.labels,
               x.error is null and not w.draining and c.name is null,
               x.error)::lease_request order by a.ordinality),
           bool_or(x.error is null and a.session_id is not null and s.session_id is null)
      into v_asked, v_has_new
      from unnest(p_asked) with ordinality a
      left join worker w on w.worker_id = a.worker_id
      left join worker_session s on s.session_id = a.session_id
      left join credential c on c.name = credential_of(w)
            and c.exhausted_until > clock_timestamp()
     cross join lateral (select case
           when a.error is not null then a.error
           when w.worker_id is null or not w.claude_cli or s.worker_id <> a.worker_id
               then lease_request_refusal(w, a.worker_id) end as error offset 0) x;
    if not v_has_new then
        return v_asked;
    end if;
    for v_new in
        select distinct a.session_id, a.worker_id from unnest(v_asked) a
         where a.error is null and a.session_id is not null
           and not exists (select from worker_session s where s.session_id = a.session_id)
         order by 1
    loop
        perform session_touch(v_new.session_id, v_new.worker_id);
    end loop;
    return v_asked;
end
$$;
comment on function bloom_private.lease_requests_admit(bloom_private.lease_request[]) is
    'Decides which requests for work can be served.';
