create or replace function bloom_private.lease_requested(p_worker_id text, p_request_id uuid)
returns uuid[]
language plpgsql stable as $$
-- The tasks that a lease request of this worker got, while their leases live.
begin
    if p_request_id is null then
        return '{}';
    end if;
    return array(select task_id from lease
        where worker_id = p_worker_id and request_id = p_request_id);
end
$$;
comment on function bloom_private.lease_requested(text, uuid) is
    'The tasks that a lease request got.';
