create or replace function bloom_private.policy_read(p_policy jsonb) returns jsonb
language plpgsql immutable as $$
-- Checks a task's policy and fills in what clients always see.
--   timeout_sec 1–3600 (120)   budget ≥ 0 (0: none)   serial: one at a time per context, in order
--   backoff_base_sec 1–3600 (5), backoff_cap_sec 1–86400 (900): see backoff
-- For the Claude CLI, where given; the worker decides what it permits:
--   model, max_turns 1–1000, allowed_tools (64 texts), permission_mode, append_system_prompt
-- What caused the task, in W3C's words, for whoever traces:
--   traceparent of version 00, tracestate
declare
    v_policy jsonb := coalesce(p_policy, '{}');
    v_known text[] := '{timeout_sec,budget,serial,backoff_base_sec,backoff_cap_sec,model,max_turns,
        allowed_tools,permission_mode,append_system_prompt,traceparent,tracestate}';
    v_budget jsonb;
begin
    if jsonb_typeof(v_policy) <> 'object' then
        perform bloom_private.refuse_field('policy', 'Expected object, received '
            || jsonb_typeof(v_policy));
    end if;
    if v_policy - v_known <> '{}' then
        perform bloom_private.check_options(v_policy, v_known);
    end if;
    v_budget := coalesce(v_policy -> 'budget', '0');
    if jsonb_typeof(v_budget) <> 'number' then
        perform bloom_private.refuse_field('policy', 'Expected number, received '
            || jsonb_typeof(v_budget));
    end if;
    if v_budget::numeric not between 0 and 1000000000000 then
        perform bloom_private.check_range('policy', v_budget::numeric, 0, 1000000000000);
    end if;
    if length(v_budget::text) > 40 then
        -- 1e-16000 is 9 characters on its way in and 16,002 ever after.
        perform bloom_private.refuse_field('policy', 'Number has too many digits');
    end if;
    if v_policy ?| '{traceparent,tracestate}' then
        perform bloom_private.trace_check(v_policy);
    end if;
    return jsonb_build_object(
        'timeout_sec', bloom_private.option_integer(v_policy, 'timeout_sec', 120, 1, 3600),
        'budget', v_budget,
        'serial', bloom_private.option_boolean(v_policy, 'serial', false),
        'backoff_base_sec',
            bloom_private.option_integer(v_policy, 'backoff_base_sec', 5, 1, 3600),
        'backoff_cap_sec',
            bloom_private.option_integer(v_policy, 'backoff_cap_sec', 900, 1, 86400))
        || jsonb_strip_nulls(jsonb_build_object(
            'model', bloom_private.option_text(v_policy, 'model', null, 128),
            'max_turns', bloom_private.option_integer(v_policy, 'max_turns', null, 1, 1000),
            'allowed_tools',
                to_jsonb(bloom_private.option_texts(v_policy, 'allowed_tools', null, 64, 200)),
            'permission_mode', bloom_private.option_text(v_policy, 'permission_mode', null, 32),
            'append_system_prompt',
                bloom_private.option_text(v_policy, 'append_system_prompt', null, 65536),
            'traceparent', v_policy -> 'traceparent', 'tracestate', v_policy -> 'tracestate'));
end
$$;
comment on function bloom_private.policy_read(jsonb) is 'Checks a policy and fills in defaults.';
