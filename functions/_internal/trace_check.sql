create or replace function bloom_private.trace_check(p_policy jsonb) returns void
language plpgsql immutable as $$
-- Refuses a policy whose traceparent or tracestate is none.
declare
    v_parent text := bloom_private.option_text(p_policy, 'traceparent', null, 55);
    v_state text := bloom_private.option_text(p_policy, 'tracestate', null, 512);
begin
    if v_parent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
            or v_parent ~ '^00-0{32}' or v_parent ~ '-0{16}-' then
        perform bloom_private.refuse_field('policy',
            'traceparent is no W3C trace context of version 00');
    end if;
    if v_state !~ '^[ -~]+$' then
        perform bloom_private.refuse_field('policy', 'tracestate must be visible ASCII');
    end if;
end
$$;
comment on function bloom_private.trace_check(jsonb) is
    'Refuses a policy with a broken trace context.';
