create or replace function bloom_private.explain_ready(t bloom.task_row) returns jsonb
language plpgsql stable as $$
-- A task that any fitting worker could take: what keeps it from that.
declare
    v_queue record;
    v_workers record;
    v_used_up jsonb;
begin
    select q.paused, q.max_running, coalesce(s.running, 0) as running into v_queue
      from queue q left join queue_slot s on s.queue = q.name where q.name = t.queue;
    select count(*) filter (where c.live) as live,
           count(*) filter (where c.live and c.fits) as fit,
           count(*) filter (where c.live and c.fits and c.used_up) as used_up,
           count(*) filter (where c.live and c.fits and not c.used_up and c.free > 0) as free,
           (select x from unnest(t.requires) x
             where not exists (select from worker y
                 where y.status = 'online' and not y.draining and y.claude_cli
                   and x = any (y.labels)) limit 1) as missing
      into v_workers
      from (select w.status = 'online' and not w.draining and w.claude_cli as live,
                   t.requires <@ w.labels as fits, s.max_concurrency - s.active as free,
                   credential_until(credential_of(w)) is not null as used_up
              from worker w join worker_slot s using (worker_id)) c;
    v_used_up := case when v_workers.used_up > 0 then explain_used_up(t.requires) end;
    return case
        when v_queue.paused then jsonb_build_object('reason', 'queue_paused',
            'sentence', format('Queue %s is paused', t.queue))
        when v_queue.running >= v_queue.max_running then jsonb_build_object('reason', 'queue_full',
            'sentence', format('Queue %s runs %s of the %s tasks that it may', t.queue,
                v_queue.running, v_queue.max_running))
        when v_workers.live = 0 then jsonb_build_object('reason', 'no_worker',
            'sentence', 'No worker is online')
        when v_workers.fit = 0 then jsonb_build_object('reason', 'no_label',
            'sentence', case when v_workers.missing is not null
                then format('No live worker has label %s', v_workers.missing)
                else format('No live worker has all of the labels %s',
                    array_to_string(t.requires, ', ')) end)
        when v_workers.used_up = v_workers.fit then jsonb_build_object(
            'reason', 'credential_exhausted', 'sentence', v_used_up #>> '{0,sentence}')
        when v_workers.free = 0 then jsonb_build_object('reason', 'workers_full',
            'sentence', case v_workers.fit when 1 then '1 worker matches, and it is full'
                else format('%s workers match, all full', v_workers.fit - v_workers.used_up) end
                || coalesce('. ' || (v_used_up #>> '{0,sentence}'), ''))
        else explain_next(t, v_workers.free) end
        || jsonb_build_object('data', jsonb_build_object('queue', t.queue,
            'priority', t.priority, 'requires', t.requires, 'workers_online', v_workers.live,
            'workers_matching', v_workers.fit, 'workers_free', v_workers.free,
            'missing_label', v_workers.missing, 'waiting_since', time_ms(t.updated_at),
            'exhausted', coalesce(v_used_up, '[]')));
end
$$;
comment on function bloom_private.explain_ready(bloom.task_row) is
    'Explains a task that could be leased.';
