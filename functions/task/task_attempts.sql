create or replace function bloom.task_attempts(p_task_id uuid) returns setof bloom.attempt_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Every lease that a task has had, oldest first, the live one last (outcome null). At most 1000,
-- with the first 16,384 characters of each error. Raises RT404 task_not_found.
begin
    perform from task_place(p_task_id);
    if not found then
        perform task_missing(p_task_id);
    end if;
    return query
        select a.task_id, a.lease_id, a.fence, a.attempt, a.epoch, a.worker_id, a.session_id,
               a.started_at, a.running_at, a.ended_at, a.outcome, a.result_status,
               left(a.error_message, 16384), a.metrics, a.artifact_id, a.cancel_requested_at,
               a.cancel_delivered_at, a.cancel_stopped_at
          from (select * from attempt h where h.task_id = p_task_id
                 order by h.fence desc limit 1000) a
        union all
        select l.task_id, l.lease_id, l.fence, l.attempts, l.epoch, l.worker_id, l.session_id,
               l.started_at, l.running_at, null, null, null, null, null, null,
               l.cancel_requested_at, l.cancel_delivered_at, null
          from lease l where l.task_id = p_task_id
         order by 3;
end
$$;
comment on function bloom.task_attempts(uuid) is 'Every lease that a task has had.';
