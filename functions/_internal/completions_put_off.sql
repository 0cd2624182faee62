create or replace function bloom_private.completions_put_off(
    p_leases bloom_private.lease[], p_places integer[], p_statuses text[], p_ends timestamptz[],
    p_given bloom_private.completion[]
) returns void
language plpgsql volatile as $$
-- Of the leases that completions_end ended: the tasks that failed wait for their next attempt.
-- Writes: deferred, event.
begin
    insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes, cause,
        prior, actor, lease_id, worker_id, detail, run_at)
    select (i.l).task_id, (i.l).queue, 'failed', (i.l).ver + 1, (i.l).epoch, (i.l).fence,
        (i.l).attempts, (i.l).crashes, 'failed', (i.l).status,
        coalesce((i.g).actor, actor_of_worker((i.l).worker_id)), (i.l).lease_id, (i.l).worker_id,
        case when (i.g).stopped is not null
             then jsonb_strip_nulls(jsonb_build_object('stopped', (i.g).stopped)) end,
        i.ended_at + backoff(t.policy, (i.l).attempts)
      from (select n, p_leases[n] as l, p_given[p_places[n]] as g, p_ends[n] as ended_at
              from generate_subscripts(p_leases, 1) n where p_statuses[n] = 'failed' offset 0) i
     cross join lateral task_of((i.l).task_id) t
     order by p_places[i.n];
end
$$;
comment on function bloom_private.completions_put_off(bloom_private.lease[], integer[], text[],
    timestamptz[], bloom_private.completion[]) is
    'Puts tasks whose attempt failed off until the next one.';
