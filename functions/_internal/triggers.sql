-- Creates what is missing and touches nothing else: a trigger that stands is not locked again
-- while the service runs. ENABLE ALWAYS, so that session_replication_role cannot silence them.
do $do$
declare
    v_table text;
begin
    foreach v_table in array array['ready', 'deferred', 'parked', 'lease', 'finished'] loop
        if not exists (select from pg_trigger where tgname = 'event_of_entry'
                          and tgrelid = ('bloom_private.' || v_table)::regclass) then
            execute format('create trigger event_of_entry after insert on bloom_private.%I
                referencing new table as entered
                for each statement execute function bloom_private.event_record()', v_table);
            execute format('alter table bloom_private.%I enable always trigger event_of_entry',
                v_table);
        end if;
    end loop;
    if not exists (select from pg_trigger where tgname = 'event_of_change'
                      and tgrelid = 'bloom_private.lease'::regclass) then
        create trigger event_of_change after update on bloom_private.lease
            referencing old table as changed new table as entered
            for each statement execute function bloom_private.event_record();
        alter table bloom_private.lease enable always trigger event_of_change;
    end if;
    -- Partitions too: this trigger does not come with the parent (see also partition_make).
    for v_table in
        select c.relname
          from unnest(array['ready', 'deferred', 'parked', 'lease', 'finished', 'task', 'attempt',
                   'task_log', 'artifact', 'event', 'seal']) t
         cross join lateral (
               select ('bloom_private.' || t)::regclass as oid
               union all
               select i.inhrelid from pg_inherits i
                where i.inhparent = ('bloom_private.' || t)::regclass) r
          join pg_class c on c.oid = r.oid
    loop
        if not exists (select from pg_trigger where tgname = 'never_truncated'
                          and tgrelid = ('bloom_private.' || v_table)::regclass) then
            execute format('create trigger never_truncated before truncate on bloom_private.%I
                for each statement execute function bloom_private.forbid()', v_table);
            execute format('alter table bloom_private.%I enable always trigger never_truncated',
                v_table);
        end if;
    end loop;
    foreach v_table in array array['task', 'attempt', 'event', 'seal'] loop
        if not exists (select from pg_trigger where tgname = 'never_changed'
                          and tgrelid = ('bloom_private.' || v_table)::regclass) then
            -- All columns of a submission but its priority, which task_prioritize changes.
            execute format('create trigger never_changed before update %s on bloom_private.%I
                for each row execute function bloom_private.forbid()',
                case v_table when 'task' then 'of task_id, queue, context_id, agent_slug, prompt,
                    context_hints, policy, desired_format, requires, max_attempts, max_crashes,
                    serial, idempotency_key, created_at, created_by' end, v_table);
            execute format('alter table bloom_private.%I enable always trigger never_changed',
                v_table);
        end if;
    end loop;
end
$do$;
