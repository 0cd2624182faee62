create or replace function bloom_private.beat_marks(
    p_worker_id text, p_session_id uuid, p_ids uuid[]
) returns void
language plpgsql volatile as $$
-- What a beat changes on lease rows, and only then: the first delivery of a cancel request, and
-- which leases the process does not list. A lease younger than ten seconds may still be on its way
-- to the process. A lease that somebody else holds is left for the next beat: a beat waits for no
-- lease, since a batch of them comes to leases in any order.
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
             for no key update skip locked));
    update lease
       set unlisted_at = case when lease_id = any (p_ids) then null else clock_timestamp() end
     where task_id = any (array(
            select l.task_id from lease l
             where l.worker_id = p_worker_id and l.session_id = p_session_id
               and (l.unlisted_at is null) <> (l.lease_id = any (p_ids))
               and l.started_at < clock_timestamp() - interval '10 seconds'
             for no key update skip locked));
end
$$;
comment on function bloom_private.beat_marks(text, uuid, uuid[]) is
    'Marks delivered cancels and unlisted leases.';
