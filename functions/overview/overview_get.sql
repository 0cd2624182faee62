create or replace function bloom.overview_get(p_window text default 'hour') returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set jit = off as $$
-- How things are: {window, step_seconds, points, success_rate, workers, leases, oldest_waiting,
-- warnings}. Points are those of the last hour by the minute, or of the last day by the quarter of
-- an hour. success_rate is completed / (completed + dead) in the window, null where nothing ended.
-- Never counts a large table.
--   p_window  hour, day
-- Raises RT400.
declare
    v_is_day boolean := p_window = 'day';
    v_waiting bigint := (select coalesce(sum(c.tasks), 0) from status_counts() c
        where c.status in ('queued', 'failed'));
    v_oldest record;
    v_points jsonb;
begin
    if p_window is null or p_window not in ('hour', 'day') then
        perform refuse_field('window', 'Must be hour or day');
    end if;
    select h.task_id, h.ready_at into v_oldest from lane l cross join lateral (
           select r.task_id, r.ready_at from ready r where r.lane_id = l.lane_id and r.seq >= l.mark
            order by r.seq limit 1) h
     order by h.ready_at limit 1;
    v_points := overview_points(case when v_is_day then interval '1 day' else interval '1 hour' end,
        case when v_is_day then interval '15 minutes' else interval '1 minute' end, v_waiting);
    return jsonb_build_object(
        'window', p_window, 'step_seconds', case when v_is_day then 900 else 60 end,
        'points', v_points,
        'success_rate', (select sum((p ->> 'completed')::bigint)
                / nullif(sum((p ->> 'completed')::bigint + (p ->> 'dead')::bigint), 0)
            from jsonb_array_elements(v_points) p),
        'workers', (select jsonb_build_object('total', count(*),
            'online', count(*) filter (where status = 'online')) from worker),
        'leases', (select jsonb_build_object('active', coalesce(sum(active), 0)) from worker_slot),
        'oldest_waiting', case when v_oldest.task_id is not null then
            jsonb_build_object('task_id', v_oldest.task_id, 'age_ms', greatest(0, time_ms(
                clock_timestamp()) - time_ms(v_oldest.ready_at))) end,
        'warnings', overview_warnings(v_waiting, v_oldest.ready_at));
end
$$;
comment on function bloom.overview_get(text) is 'How things are, and were in the last hour or day.';
