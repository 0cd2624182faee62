create or replace function bloom_private.completion_replay(
    p_task_id uuid, p_lease_id uuid, p_digest bytea
) returns table (task_id uuid, task_status text, lease_id uuid, worker_id text, artifact_id uuid,
    completed_at timestamptz, replayed boolean)
language plpgsql volatile as $$
#variable_conflict use_column
-- A completion whose lease is not live any more: the stored answer if the lease ended with this
-- very result, else a refusal.
declare
    v_attempt attempt;
begin
    select * into v_attempt from attempt a
     where a.task_id = p_task_id and a.lease_id = p_lease_id and a.result_status is not null;
    if not found then
        perform lease_refuse(p_task_id, p_lease_id, 'complete');
    end if;
    if v_attempt.digest <> p_digest then
        perform nextval('stale_refused');
        perform refuse(409, 'already_completed',
            format('Lease %s was already completed with another result', p_lease_id),
            jsonb_build_object('task_id', p_task_id, 'lease_id', p_lease_id));
    end if;
    perform replay_keep();
    return query
        select p_task_id, w.status, p_lease_id, v_attempt.worker_id, v_attempt.artifact_id,
               v_attempt.ended_at, true
          from task_place(p_task_id) w;
end
$$;
comment on function bloom_private.completion_replay(uuid, uuid, bytea) is
    'Answers a repeated completion, or refuses a stale one.';
