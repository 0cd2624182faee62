create or replace function bloom.task_submit(
    p_context_id text, p_agent_slug text, p_prompt text, p_options jsonb default '{}'
) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Submits one task within the caller's transaction and returns its id.
--   p_options  context_hints, policy {timeout_sec, budget, serial, backoff_base_sec,
--              backoff_cap_sec, traceparent, tracestate}, desired_format ("text" | "json"),
--              queue, requires (labels), priority 0–9 (0 first, 5), max_attempts, max_crashes,
--              run_at, idempotency_key; actor
-- Lock order, writes and errors: see task_submit_many.
declare
    v_task jsonb;
    v_id uuid;
begin
    if p_options is null or jsonb_typeof(p_options) <> 'object' then
        perform refuse_field('options', 'Expected object');
    end if;
    if p_options ?| array['context_id', 'agent_slug', 'prompt'] then
        perform refuse_field('options', 'context_id, agent_slug and prompt are arguments');
    end if;
    v_task := (p_options - 'actor') || jsonb_build_object('context_id', p_context_id,
        'agent_slug', p_agent_slug, 'prompt', p_prompt);
    select m.task_id into strict v_id
      from bloom.task_submit_many(jsonb_build_array(v_task),
          case when p_options ? 'actor' then jsonb_build_object('actor', p_options -> 'actor')
               else '{}' end) m;
    return v_id;
end
$$;
comment on function bloom.task_submit(text, text, text, jsonb) is
    'Submits one task and returns its id.';
