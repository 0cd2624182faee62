create or replace function bloom_private.replay_try(
    p_task_id uuid, p_lease_id uuid, p_digest bytea
) returns table (task_status text, worker_id text, artifact_id uuid, completed_at timestamptz,
    error jsonb)
language plpgsql volatile as $$
#variable_conflict use_column
-- completion_replay for a batch: a refusal comes back in error instead of being raised.
declare
    v_state text;
    v_code text;
    v_detail text;
begin
    return query
        select r.task_status, r.worker_id, r.artifact_id, r.completed_at, null::jsonb
          from bloom_private.completion_replay(p_task_id, p_lease_id, p_digest) r;
exception
    when sqlstate 'RT404' or sqlstate 'RT409' then
        get stacked diagnostics v_state = returned_sqlstate, v_code = message_text,
            v_detail = pg_exception_detail;
        return query select null::text, null::text, null::uuid, null::timestamptz,
            v_detail::jsonb || jsonb_build_object('code', v_code,
                'status', right(v_state, 3)::integer);
end
$$;
comment on function bloom_private.replay_try(uuid, uuid, bytea) is
    'Answers a repeated completion of a batch.';
