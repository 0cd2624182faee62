create or replace function bloom_private.heartbeat_try(
    p_task_id uuid, p_lease_id uuid, p_options jsonb
) returns table (error jsonb, shown bloom.lease_row)
language plpgsql volatile as $$
#variable_conflict use_column
-- lease_heartbeat for a batch: a refusal comes back in error instead of being raised.
declare
    v_state text;
    v_code text;
    v_detail text;
begin
    return query select null::jsonb, h
       from bloom.lease_heartbeat(p_task_id, p_lease_id, p_options) h;
exception
    when sqlstate 'RT400' or sqlstate 'RT404' or sqlstate 'RT409' then
        get stacked diagnostics v_state = returned_sqlstate, v_code = message_text,
            v_detail = pg_exception_detail;
        return query select v_detail::jsonb || jsonb_build_object('code', v_code,
            'status', right(v_state, 3)::integer), null::bloom.lease_row;
end
$$;
comment on function bloom_private.heartbeat_try(uuid, uuid, jsonb) is
    'Makes one heartbeat of a batch that needs a look of its own.';
