create or replace function bloom.retention_run(
    p_finished_days integer, p_event_days integer, p_artifact_days integer
) returns text[]
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set timezone = 'UTC'
set lock_timeout = '500ms' as $$
-- Drops the weekly partitions that lie wholly before the given numbers of days (1–3650), at most
-- one of each kind per call, and returns their names.
--   tasks      (task, finished, attempt) by the week of submission, once every task of it is
--              finished; their idempotency keys go too
--   events     by the week in which they happened, once they are folded into the counts
--   artifacts  by the week of their making; what of them is in object storage is nobody's then
--              (see artifact_sweep)
-- Minutes of charts are kept for 32 days, deliveries to webhooks for 14. What lies in default
-- partitions is deleted, and so are conversations that have not gone on for p_finished_days, at
-- most 10,000 rows of each a call.
-- Writes: the partitions, status_count, minute_count, webhook_delivery, idempotency,
-- context_session. Raises RT400; 55P03 where a lock is not to be had within half a second (try
-- again later; sooner than PostgreSQL looks for deadlocks, which might end somebody else's work);
-- 25001 at another isolation level than read committed, which would not see what was requeued
-- meanwhile.
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = '25001',
            message = 'retention_run takes a transaction that is read committed';
    end if;
    perform check_range('finished_days', p_finished_days, 1, 3650);
    perform check_range('event_days', p_event_days, 1, 3650);
    perform check_range('artifact_days', p_artifact_days, 1, 3650);
    perform pg_advisory_xact_lock(hashtextextended('bloom.partitions', 0));
    delete from minute_count where minute < now() - interval '32 days';
    perform retention_deliveries(now() - interval '14 days');
    perform retention_conversations(now() - make_interval(days => p_finished_days));
    return retention_tasks(now() - make_interval(days => p_finished_days))
        || retention_events(now() - make_interval(days => p_event_days))
        || retention_artifacts(now() - make_interval(days => p_artifact_days));
end
$$;
comment on function bloom.retention_run(integer, integer, integer) is 'Drops old partitions.';
