create or replace function bloom_private.completion_read(
    p_status text, p_output text, p_options jsonb
) returns bloom_private.completion
language plpgsql volatile as $$
-- Checks what a worker reports and takes its digest, by which a repeated report is known.
declare
    v completion;
begin
    if p_options <> '{}' is not false then
        perform check_options(p_options, array['error_message', 'metrics', 'artifact_type',
            'artifact_tags', 'retryable', 'conversation', 'stopped', 'worker_id', 'actor']);
    end if;
    if p_status is null then
        perform refuse_field('status', 'Required');
    elsif p_status not in ('success', 'error') then
        perform refuse_field('status', format(
            'Invalid enum value. Expected ''success'' | ''error'', received ''%s''',
            left(p_status, 100)));
    end if;
    v.status := p_status;
    if char_length(p_output) > 67108864 then
        perform check_text('output', p_output, 0, 67108864);
    end if;
    if p_options = '{}' then
        v.metrics := '{}';
        v.artifact_type := 'LLM_RESULT';
        v.artifact_tags := '{}';
        v.retryable := true;
    else
        v.error_message := option_text(p_options, 'error_message', null, 1048576);
        v.metrics := metrics_read(p_options -> 'metrics');
        v.artifact_type := option_text(p_options, 'artifact_type', 'LLM_RESULT', 128);
        if v.artifact_type = '' then
            perform check_text('artifact_type', v.artifact_type, 1, 128);
        end if;
        v.artifact_tags := option_texts(p_options, 'artifact_tags', '{}', 100, 256);
        v.retryable := option_boolean(p_options, 'retryable', true);
        v.conversation := conversation_read(p_options -> 'conversation');
        v.stopped := stopped_read(p_options -> 'stopped');
        v.worker_id := option_text(p_options, 'worker_id', null, 128);
        v.actor := case when p_options ? 'actor' then actor(p_options) end;
    end if;
    v.digest := completion_digest(v.status, v.error_message, v.metrics, v.artifact_type,
        v.artifact_tags, v.conversation, v.stopped, p_output);
    v.artifact_id := uuid_v7();
    v.at := clock_timestamp();
    return v;
end
$$;
comment on function bloom_private.completion_read(text, text, jsonb) is
    'Checks what a worker reports.';
