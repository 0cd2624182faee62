create or replace function bloom_private.beat_marks(
    p_worker_id text, p_session_id uuid, p_ids uuid[]
) returns void
language plpgsql volatile as $$
-- What a beat changes on lease rows, and only then: the first delivery of a cancel request, and
-- which leases the process does not list. A lease younger than ten seconds may still be on its way
-- to the process.
begin
    update lease
       set ver = ver + 1, cause = 'cancel_delivered', prior = status,
           actor = actor_of_worker(p_worker_id),
           cancel_delivered_at = greatest(clock_timestamp(), cancel_requested_at)
     where worker_id = p_worker_id and session_id = p_session_id and lease_id = any (p_ids)
       and cancel_requested_at is not null and cancel_delivered_at is null;
    update lease
       set unlisted_at = case when lease_id = any (p_ids) then null else clock_timestamp() end
     where worker_id = p_worker_id and session_id = p_session_id
       and (unlisted_at is null) <> (lease_id = any (p_ids))
       and started_at < clock_timestamp() - interval '10 seconds';
end
$$;
comment on function bloom_private.beat_marks(text, uuid, uuid[]) is
    'Marks delivered cancels and unlisted leases.';
