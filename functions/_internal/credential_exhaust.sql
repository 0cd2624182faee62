create or replace function bloom_private.credential_exhaust(
    p_lease bloom_private.lease, p_until timestamptz, p_reason text, p_actor text
) returns void
language plpgsql volatile as $$
-- The credential of a lease's worker has reached its usage limit until then; of several reports the
-- latest moment holds. Lock order: credential, the last of all locks. Writes: credential, event.
declare
    v_row credential;
begin
    insert into credential as c (name, exhausted_until, reason, reported_by, reported_at)
    select credential_of(w), p_until, p_reason, w.worker_id, clock_timestamp()
      from worker w where w.worker_id = p_lease.worker_id
    on conflict (name) do update
       set exhausted_until = greatest(c.exhausted_until, excluded.exhausted_until),
           reason = coalesce(excluded.reason, c.reason),
           reported_by = excluded.reported_by, reported_at = excluded.reported_at
    returning * into v_row;
    perform event_note('credential_exhausted', 'credential/' || v_row.name, p_actor,
        jsonb_strip_nulls(jsonb_build_object('until', time_ms(v_row.exhausted_until),
            'reason', p_reason, 'worker_id', p_lease.worker_id, 'task_id', p_lease.task_id,
            'lease_id', p_lease.lease_id)));
end
$$;
comment on function
    bloom_private.credential_exhaust(bloom_private.lease, timestamptz, text, text) is
    'Marks the credential of a lease''s worker as exhausted.';
