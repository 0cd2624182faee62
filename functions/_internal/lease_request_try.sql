create or replace function bloom_private.lease_request_try(p_request jsonb)
returns bloom_private.lease_request
language plpgsql stable as $$
-- One request of a batch: what is wrong with it comes back in error instead of being raised.
declare
    v lease_request;
    v_detail text;
begin
    perform check_options(p_request, array['worker_id', 'session_id', 'max_tasks', 'ttl_seconds',
        'request_id', 'queues', 'actor']);
    v.worker_id := option_text(p_request, 'worker_id', null, 128);
    v.session_id := option_uuid(p_request, 'session_id');
    v.max_tasks := option_integer(p_request, 'max_tasks', 1, 1, 100);
    v.ttl_seconds := option_integer(p_request, 'ttl_seconds', 300, 1, 86400);
    return lease_request_read(v, p_request);
exception
    when sqlstate 'RT400' then
        get stacked diagnostics v_detail = pg_exception_detail;
        v.error := v_detail::jsonb || '{"code": "invalid_argument", "status": 400}';
        return v;
end
$$;
comment on function bloom_private.lease_request_try(jsonb) is
    'Checks one request for work of a batch.';
