create or replace function bloom_private.completion_detail(
    p_next text, p_retryable boolean, p_stopped_at timestamptz, p_stopped jsonb,
    p_conversation jsonb
) returns jsonb
language plpgsql immutable as $$
-- What the audit trail says beyond the new status, where there is more to say: why a task is over,
-- how its processes ended, which conversation it leaves.
begin
    return nullif(jsonb_strip_nulls(jsonb_build_object('reason', case
        when p_next = 'cancelled' and p_stopped_at is null then 'cancelled_unproven'
        when p_next = 'cancelled' then 'cancelled'
        when p_next = 'dead' and p_retryable then 'attempts_exhausted'
        when p_next = 'dead' then 'not_retryable' end,
        'stopped', p_stopped,
        'conversation', case when p_next = 'completed' then p_conversation end)), '{}');
end
$$;
comment on function bloom_private.completion_detail(text, boolean, timestamptz, jsonb, jsonb) is
    'What the audit trail says of a completion beyond the status.';
