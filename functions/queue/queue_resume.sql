create or replace function bloom.queue_resume(p_queue text, p_options jsonb default '{}')
returns setof bloom.queue_row
language sql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Tasks of the queue are leased again. See queue_configure.
select * from bloom.queue_configure(p_queue, p_options || '{"paused": false}')
$$;
comment on function bloom.queue_resume(text, jsonb) is 'Resumes a queue.';
