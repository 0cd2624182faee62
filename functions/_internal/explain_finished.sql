create or replace function bloom_private.explain_finished(t bloom.task_row) returns jsonb
language sql stable as $$
-- A task that is over. Of one that was cancelled while a worker had it, also whether its processes
-- are known to have ended.
select jsonb_build_object('reason', t.status,
    'sentence', initcap(t.status)
        || case when t.status = 'cancelled' and t.cancel_requested_at is not null
                then format(' at %s; %s', time_text(t.finished_at),
                    case when t.cancel_stopped_at is null
                         then 'the end of its processes is not proven'
                         else 'none of its processes is left' end)
                else coalesce(' (' || t.reason || ')', '') || ' at '
                    || time_text(t.finished_at) end,
    'data', jsonb_build_object('finished_at', time_ms(t.finished_at),
        'worker_id', t.worker_id, 'why', t.reason,
        'cancel_requested_at', time_ms(t.cancel_requested_at),
        'cancel_delivered_at', time_ms(t.cancel_delivered_at),
        'cancel_stopped_at', time_ms(t.cancel_stopped_at)))
$$;
comment on function bloom_private.explain_finished(bloom.task_row) is
    'Explains a task that is over.';
