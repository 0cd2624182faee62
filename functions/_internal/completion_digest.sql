create or replace function bloom_private.completion_digest(
    p_given bloom_private.completion, p_output text
) returns bytea
language sql stable as $$
-- By which a repeated report is known.
select sha256(convert_to(jsonb_build_array(p_given.status, p_given.error_message, p_given.metrics,
        p_given.artifact_type, p_given.artifact_tags, p_output is null, p_given.conversation,
        p_given.stopped)::text, 'UTF8')
    || sha256(convert_to(coalesce(p_output, ''), 'UTF8')))
$$;
comment on function bloom_private.completion_digest(bloom_private.completion, text) is
    'By which a repeated report is known.';
