create or replace function bloom_private.lease_request_error(
    p_worker_id text, p_max_tasks integer, p_ttl_seconds integer
) returns jsonb
language plpgsql immutable as $$
-- What is wrong with one request of a batch, as lease_next would raise it; null if nothing is.
declare
    v_field text;
    v_text text;
begin
    if p_worker_id is null then
        v_field := 'worker_id';
        v_text := 'Required';
    elsif p_max_tasks is null or p_max_tasks not between 1 and 100 then
        v_field := 'max_tasks';
        v_text := 'Expected a number from 1 to 100';
    elsif p_ttl_seconds is null or p_ttl_seconds not between 1 and 86400 then
        v_field := 'ttl_seconds';
        v_text := 'Expected a number from 1 to 86400';
    else
        return null;
    end if;
    return jsonb_build_object('status', 400, 'code', 'invalid_argument', 'field', v_field,
        'text', v_text, 'message', v_field || ': ' || v_text);
end
$$;
comment on function bloom_private.lease_request_error(text, integer, integer) is
    'What is wrong with a request for work.';
