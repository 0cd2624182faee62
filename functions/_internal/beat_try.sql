create or replace function bloom_private.beat_try(
    p_worker_id text, p_session_id uuid, p_leases jsonb
) returns table (error jsonb, answer jsonb)
language plpgsql volatile as $$
#variable_conflict use_column
-- worker_beat for a batch: a refusal comes back in error instead of being raised.
declare
    v_state text;
    v_code text;
    v_detail text;
begin
    answer := bloom.worker_beat(p_worker_id, p_session_id, p_leases);
    return next;
exception
    when sqlstate 'RT400' or sqlstate 'RT404' or sqlstate 'RT409' then
        get stacked diagnostics v_state = returned_sqlstate, v_code = message_text,
            v_detail = pg_exception_detail;
        return query select v_detail::jsonb || jsonb_build_object('code', v_code,
            'status', right(v_state, 3)::integer), null::jsonb;
end
$$;
comment on function bloom_private.beat_try(text, uuid, jsonb) is 'Makes one beat of a batch.';
