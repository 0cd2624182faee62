create or replace function bloom_private.beat_marks(
    p_worker_id text, p_session_id uuid, p_ids uuid[]
) returns void
language plpgsql volatile as $$
-- What a beat changes on lease rows, and only then: the first delivery of a cancel request, and
-- which leases the process does not list. A lease younger than ten seconds may still be on its way
-- to the process. Lock order: leases by task.
begin
    update lease
       set ver = ver + 1, cause = 'cancel_delivered', prior = status,
           actor = actor_of_worker(p_worker_id),
           cancel_delivered_at = greatest(clock_timestamp(), cancel_requested_at)
     where task_id = any (array(
            select l.task_id from lease l
             where l.worker_id = p_worker_id and l.session_id = p_session_id
               and l.lease_id = any (p_ids)
               and l.cancel_requested_at is not null and l.cancel_delivered_at is null
             order by l.task_id for no key update));
    update lease
       set unlisted_at = case when lease_id = any (p_ids) then null else clock_timestamp() end
     where task_id = any (array(
            select l.task_id from lease l
             where l.worker_id = p_worker_id and l.session_id = p_session_id
               and (l.unlisted_at is null) <> (l.lease_id = any (p_ids))
               and l.started_at < clock_timestamp() - interval '10 seconds'
             order by l.task_id for no key update));
end
$$;
comment on function bloom_private.beat_marks(text, uuid, uuid[]) is
    'Marks delivered cancels and unlisted leases.';
