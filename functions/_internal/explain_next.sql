create or replace function bloom_private.explain_next(t bloom.task_row, p_free bigint)
returns jsonb
language sql stable as $$
-- A ready task for which workers are free: it is left to the worker of its context for a moment,
-- or it is about to be taken.
select case when p.worker_id is not null
    then jsonb_build_object('reason', 'pinned', 'sentence',
        format('Worker %s %s; it has first choice until %s', p.worker_id,
            case when p.is_busy then 'is busy with the same context'
                 else 'has the conversation of this context' end, time_text(p.until)))
    else jsonb_build_object('reason', 'next', 'sentence',
        format('%s can take it now; it waits for one of them to ask',
            case p_free when 1 then '1 worker' else p_free || ' workers' end)) end
  from (select t.updated_at + make_interval(secs => q.pin_wait_ms / 1000.0) as until
          from queue q where q.name = t.queue) q
  left join lateral (
       select h.worker_id, h.is_busy, q.until
         from (select l.worker_id, true as is_busy from lease l
                where l.context_id = t.context_id
               union all
               select s.worker_id, false from context_session s
                where s.context_id = t.context_id and worker_is_live(s.worker_id, t.requires)) h
        where q.until > clock_timestamp()
        order by h.is_busy desc limit 1) p on true
$$;
comment on function bloom_private.explain_next(bloom.task_row, bigint) is
    'Explains a ready task for which workers are free.';
