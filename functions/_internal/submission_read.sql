create or replace function bloom_private.submission_read(p_task jsonb)
returns bloom_private.submission
language plpgsql volatile as $$
-- Checks one submitted object and fills in the defaults. Raises RT400 for the first wrong field.
-- Each condition stands here, and the check that words the refusal is called only where it fails: a
-- condition costs next to nothing, a call in a statement of its own does.
declare
    s bloom_private.submission;
    v_known text[] := '{context_id,agent_slug,prompt,context_hints,policy,desired_format,queue,
        requires,priority,max_attempts,max_crashes,run_at,idempotency_key}';
begin
    if p_task is null or jsonb_typeof(p_task) <> 'object' then
        perform bloom_private.refuse_field('task', 'Expected object');
    end if;
    if p_task - v_known <> '{}' then
        perform bloom_private.check_options(p_task, v_known);
    end if;
    s.context_id := bloom_private.option_text(p_task, 'context_id', null, 512);
    if s.context_id = '' is not false then
        perform bloom_private.check_text('context_id', s.context_id, 1, 512);
    end if;
    s.agent_slug := bloom_private.option_text(p_task, 'agent_slug', null, 255);
    if s.agent_slug = '' is not false then
        perform bloom_private.check_text('agent_slug', s.agent_slug, 1, 255);
    end if;
    s.prompt := bloom_private.option_text(p_task, 'prompt', null, 4194304);
    if s.prompt = '' is not false then
        perform bloom_private.check_text('prompt', s.prompt, 1, 4194304);
    end if;
    s.context_hints := bloom_private.option_texts(p_task, 'context_hints', '{}', 1000, 4096);
    s.policy := bloom_private.policy_read(p_task -> 'policy');
    s.desired_format := bloom_private.option_text(p_task, 'desired_format', 'text', 10);
    if s.desired_format not in ('json', 'text') then
        perform bloom_private.refuse_field('desired_format', format(
            'Invalid enum value. Expected ''json'' | ''text'', received ''%s''', s.desired_format));
    end if;
    s.queue := bloom_private.option_text(p_task, 'queue', 'default', 128);
    if s.queue = '' is not false then
        perform bloom_private.check_text('queue', s.queue, 1, 128);
    end if;
    -- Sorted and without repetition: the same set of labels is the same lane.
    s.requires := bloom_private.option_texts(p_task, 'requires', '{}', 16, 128);
    if cardinality(s.requires) > 1 then
        s.requires := array(select distinct x from unnest(s.requires) x order by x);
    end if;
    -- They are a key of the index on lanes.
    if octet_length(array_to_string(s.requires, '')) > 1500 then
        perform bloom_private.refuse_field('requires', 'At most 1500 bytes of labels');
    end if;
    s.priority := bloom_private.option_integer(p_task, 'priority', 5, 0, 9);
    s.max_attempts := bloom_private.option_integer(p_task, 'max_attempts', 3, 1, 10);
    s.max_crashes := bloom_private.option_integer(p_task, 'max_crashes', 5, 1, 10);
    s.run_at := bloom_private.option_time(p_task, 'run_at');
    s.idempotency_key := bloom_private.option_text(p_task, 'idempotency_key', null, 255);
    if s.idempotency_key = '' then
        perform bloom_private.check_text('idempotency_key', s.idempotency_key, 1, 255);
    end if;
    s.serial := (s.policy -> 'serial')::boolean
        or coalesce((select serial_contexts from queue where name = s.queue), false);
    s.task_id := bloom_private.uuid_v7();
    s.is_new := true;
    s.is_parked := false;
    return s;
end
$$;
comment on function bloom_private.submission_read(jsonb) is 'Checks one submitted task.';
