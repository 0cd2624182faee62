create or replace function bloom_private.explain_next(t bloom.task_row, p_free bigint)
returns jsonb
language sql stable as $$
-- A ready task for which workers are free: it is left to the worker of its context for a moment,
-- or it is about to be taken.
select case when p.worker_id is not null
    then jsonb_build_object('reason', 'pinned', 'sentence',
        format('Worker %s is busy with the same context; it has first choice until %s',
            p.worker_id, time_text(p.until)))
    else jsonb_build_object('reason', 'next', 'sentence',
        format('%s can take it now; it waits for one of them to ask',
            case p_free when 1 then '1 worker' else p_free || ' workers' end)) end
  from (select) one
  left join lateral (
       select l.worker_id, t.updated_at + make_interval(secs => q.pin_wait_ms / 1000.0) as until
         from lease l join queue q on q.name = t.queue
        where l.context_id = t.context_id
          and t.updated_at + make_interval(secs => q.pin_wait_ms / 1000.0) > clock_timestamp()
        limit 1) p on true
$$;
comment on function bloom_private.explain_next(bloom.task_row, bigint) is
    'Explains a ready task for which workers are free.';
