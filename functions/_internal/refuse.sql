create or replace function bloom_private.refuse(
    p_status integer, p_code text, p_message text, p_detail jsonb default '{}'
) returns void
language plpgsql immutable as $$
-- Ends the statement with one of our own errors.
--   p_status   the HTTP status that it maps to; SQLSTATE becomes RT + status
--   p_code     stable snake_case code for programs (MESSAGE)
--   p_message  the sentence for people; travels in DETAIL beside the ids of p_detail
begin
    raise exception using
        errcode = 'RT' || p_status,
        message = p_code,
        detail = (p_detail || jsonb_build_object('message', p_message))::text;
end
$$;
comment on function bloom_private.refuse(integer, text, text, jsonb) is
    'Raises SQLSTATE RT<status> with a stable code and a JSON detail.';
