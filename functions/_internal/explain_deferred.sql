create or replace function bloom_private.explain_deferred(t bloom.task_row) returns jsonb
language sql stable as $$
-- A task that waits for a time.
select case when t.status = 'failed'
    then jsonb_build_object('reason', 'retry_wait',
        'sentence', format('Failed attempt %s of %s; it will be retried at %s', t.attempts,
            t.max_attempts, time_text(t.retry_at)),
        'data', jsonb_build_object('retry_at', time_ms(t.retry_at), 'attempts', t.attempts,
            'max_attempts', t.max_attempts))
    else jsonb_build_object('reason', 'deferred',
        'sentence', 'Deferred until ' || time_text(t.run_at),
        'data', jsonb_build_object('run_at', time_ms(t.run_at))) end
$$;
comment on function bloom_private.explain_deferred(bloom.task_row) is
    'Explains a task that waits for a time.';
