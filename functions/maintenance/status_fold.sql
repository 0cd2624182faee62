create or replace function bloom.status_fold() returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Folds the event log into status_count, event_count and minute_count, up to the oldest running
-- transaction. One at a time: who comes second leaves at once. Returns the number of counts of
-- tasks changed. Writes: status_count, event_count, minute_count, log_cursor.
declare
    v_from xid8;
    v_to xid8 := pg_snapshot_xmin(pg_current_snapshot());
    v_groups event_group[];
    v_rows bigint;
begin
    select xid into v_from from log_cursor where name = 'status_count' for update skip locked;
    if not found or v_to <= v_from then
        return 0;
    end if;
    v_groups := array(select g from event_groups(v_from, v_to) g);
    insert into status_count as c (queue, status, tasks, entered)
    select d.queue, d.status, d.tasks, d.entered from groups_deltas(v_groups) d
    on conflict (queue, status) do update
       set tasks = c.tasks + excluded.tasks, entered = c.entered + excluded.entered;
    get diagnostics v_rows = row_count;
    insert into event_count as c (queue, cause, events)
    select g.queue, g.cause, sum(g.events) from unnest(v_groups) g group by 1, 2
    on conflict (queue, cause) do update set events = c.events + excluded.events;
    -- Events of workers and settings change no count, but they must not hold retention back.
    if v_rows > 0
        or exists (select from event where xid >= v_from and xid < v_to)
    then
        perform minutes_fold(v_groups, v_from, v_to);
        update log_cursor set xid = v_to where name = 'status_count';
    end if;
    return v_rows;
end
$$;
comment on function bloom.status_fold() is 'Folds the event log into the status counts.';
