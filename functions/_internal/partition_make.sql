create or replace function bloom_private.partition_make(p_parent text, p_week date)
returns boolean
language plpgsql volatile as $$
-- The partition of p_parent for the week that begins on p_week; false where it exists, or where
-- the default partition already holds rows of that week (they stay there). A week of tasks has all
-- four of task, finished, attempt and task_log, or none: task's default decides. Attached rather
-- than created in place: that leaves readers and writers of the parent alone.
declare
    v_name text := p_parent || to_char(p_week, '_YYYYMMDD');
    v_key text := case p_parent when 'event' then 'at' when 'artifact' then 'artifact_id'
        else 'task_id' end;
    v_from text;
    v_to text;
    v_used boolean;
begin
    if to_regclass('bloom_private.' || v_name) is not null then
        return false;
    end if;
    if v_key = 'at' then
        v_from := p_week::timestamptz;
        v_to := (p_week + 7)::timestamptz;
    else
        v_from := uuid_floor(p_week::timestamptz);
        v_to := uuid_floor((p_week + 7)::timestamptz);
    end if;
    execute format('select exists (select from bloom_private.%I where %I >= %L and %I < %L)',
        case when p_parent in ('finished', 'attempt', 'task_log') then 'task' else p_parent end
            || '_default',
        v_key, v_from, v_key, v_to) into v_used;
    if v_used then
        return false;
    end if;
    execute format('create table bloom_private.%I (like bloom_private.%I including all)', v_name,
        p_parent);
    -- A row trigger comes with the parent, a statement trigger does not.
    execute format('create trigger never_truncated before truncate on bloom_private.%I
        for each statement execute function bloom_private.forbid()', v_name);
    execute format('alter table bloom_private.%I enable always trigger never_truncated', v_name);
    execute format('alter table bloom_private.%I attach partition bloom_private.%I
        for values from (%L) to (%L)', p_parent, v_name, v_from, v_to);
    return true;
end
$$;
comment on function bloom_private.partition_make(text, date) is 'Makes the partition of a week.';
