create or replace function bloom.worker_list() returns setof bloom.worker_row
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- All workers (at most 10,000 can be registered), newest first.
select * from worker_rows(null)
$$;
comment on function bloom.worker_list() is 'All workers.';
