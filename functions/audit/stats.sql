create or replace function bloom.stats() returns jsonb
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- {"tasks": {"total", "by_status"}, "leases": {"total", "active"}, "workers": {"total", "online"},
-- "stale_refused"}. Never counts a large table.
with counts as materialized (
    select status, sum(tasks)::bigint as tasks, sum(entered)::bigint as entered
      from status_counts() group by 1
)
select jsonb_build_object(
    'tasks', jsonb_build_object(
        'total', (select coalesce(sum(tasks), 0) from counts),
        'by_status', (select coalesce(jsonb_object_agg(status, tasks), '{}')
                        from counts where tasks <> 0)),
    'leases', jsonb_build_object(
        'total', (select coalesce(sum(entered), 0) from counts where status = 'leased'),
        'active', (select coalesce(sum(active), 0) from worker_slot)),
    'workers', (select jsonb_build_object('total', count(*),
        'online', count(*) filter (where status = 'online')) from worker),
    'stale_refused', (select case when is_called then last_value else 0 end from stale_refused))
$$;
comment on function bloom.stats() is 'Counts of tasks, leases and workers.';
