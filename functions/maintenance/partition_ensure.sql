create or replace function bloom.partition_ensure(p_weeks integer default 2) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s' as $$
-- Makes the weekly partitions of this week and the next p_weeks (0–52); returns how many were new.
-- Rows for which there is none go to the default partition, so being late loses nothing.
-- Writes: the partitions. Raises RT400.
declare
    v_count integer := 0;
    v_parent text;
begin
    perform check_range('weeks', p_weeks, 0, 52);
    perform pg_advisory_xact_lock(hashtextextended('bloom.partitions', 0));
    for v_week in 0..p_weeks loop
        foreach v_parent in array array['task', 'finished', 'attempt', 'task_log', 'artifact',
            'event'] loop
            v_count := v_count + partition_make(v_parent,
                date_trunc('week', now())::date + 7 * v_week)::integer;
        end loop;
    end loop;
    return v_count;
end
$$;
comment on function bloom.partition_ensure(integer) is 'Makes the coming weekly partitions.';
