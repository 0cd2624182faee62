create or replace function bloom_private.lease_request_refusal(
    w bloom_private.worker, p_worker_id text
) returns jsonb
language plpgsql immutable as $$
-- Why a worker (w, null where there is none of that name) gets no work that it asks for. A function
-- of its own: its parts would be made ready for each request that has nothing wrong.
begin
    if w.worker_id is null then
        return jsonb_build_object('status', 404, 'code', 'worker_not_found',
            'message', 'Worker not found', 'worker_id', left(p_worker_id, 200));
    elsif not w.claude_cli then
        return jsonb_build_object('status', 409, 'code', 'worker_not_capable', 'message',
            'The worker registered with claude_cli false, so it cannot run tasks',
            'worker_id', p_worker_id);
    end if;
    return jsonb_build_object('status', 409, 'code', 'session_of_another_worker',
        'message', 'The session belongs to another worker');
end
$$;
comment on function bloom_private.lease_request_refusal(bloom_private.worker, text) is
    'Why a worker gets no work that it asks for.';
