create or replace function bloom_private.stored_digest(
    p_given bloom_private.completion, p_sha256 bytea
) returns bytea
language sql stable as $$
-- completion_digest for an output of which only the digest is at hand: both give the same, so that
-- a report is known again wherever its output went the first time.
select sha256(convert_to(jsonb_build_array(p_given.status, p_given.error_message, p_given.metrics,
        p_given.artifact_type, p_given.artifact_tags, false, p_given.conversation,
        p_given.stopped)::text, 'UTF8')
    || p_sha256)
$$;
comment on function bloom_private.stored_digest(bloom_private.completion, bytea) is
    'By which a repeated report is known whose output is elsewhere.';
