create or replace function bloom.queue_pause(p_queue text, p_options jsonb default '{}')
returns setof bloom.queue_row
language sql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- No task of the queue is leased from now on; running ones go on. See queue_configure.
select * from bloom.queue_configure(p_queue, p_options || '{"paused": true}')
$$;
comment on function bloom.queue_pause(text, jsonb) is 'Pauses a queue.';
