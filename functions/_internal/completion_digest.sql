create or replace function bloom_private.completion_digest(
    p_status text, p_message text, p_metrics jsonb, p_type text, p_tags text[],
    p_conversation jsonb, p_stopped jsonb, p_output text
) returns bytea
language sql stable as $$
-- By which a repeated report is known.
select sha256(convert_to(jsonb_build_array(p_status, p_message, p_metrics, p_type, p_tags,
        p_output is null, p_conversation, p_stopped)::text, 'UTF8')
    || sha256(convert_to(coalesce(p_output, ''), 'UTF8')))
$$;
comment on function bloom_private.completion_digest(
    text, text, jsonb, text, text[], jsonb, jsonb, text) is
    'By which a repeated report is known.';
