create or replace function bloom_private.lease_request_read(
    p_asked bloom_private.lease_request, p_options jsonb
) returns bloom_private.lease_request
language plpgsql stable as $$
-- Checks a request for work; fills in request_id, queues and actor from the options.
begin
    if p_asked.max_tasks between 1 and 100 is not true then
        perform check_range('max_tasks', p_asked.max_tasks, 1, 100);
    end if;
    if p_asked.ttl_seconds between 1 and 86400 is not true then
        perform check_range('ttl_seconds', p_asked.ttl_seconds, 1, 86400);
    end if;
    p_asked.actor := actor(p_options);
    p_asked.queues := option_texts(p_options, 'queues', null, 100, 128);
    p_asked.request_id := option_uuid(p_options, 'request_id');
    return p_asked;
end
$$;
comment on function bloom_private.lease_request_read(bloom_private.lease_request, jsonb) is
    'Checks a request for work.';
