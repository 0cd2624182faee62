create or replace function bloom.worker_sweep(p_silent_seconds integer default 60) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Takes workers offline that beat once and have been silent for p_silent_seconds (1–86400), and
-- online again when they beat again; forgets sessions that have been silent for a day and hold no
-- lease, progress of a day ago of leases that ended as it came, credentials whose limit ended a day
-- ago, and workers that the control plane has not listed for 30 days, 100 at a time. A worker that
-- never had a session keeps the status it gave itself. Returns how many changed. Writes: worker,
-- worker_session, progress, credential, event; what worker_remove writes. Raises RT400.
declare
    v_worker record;
    v_count integer := 0;
begin
    perform check_range('silent_seconds', p_silent_seconds, 1, 86400);
    for v_worker in
        select w.worker_id, w.status, b.last
          from worker w cross join lateral (select max(s.beat_at) as last from worker_session s
               where s.worker_id = w.worker_id) b
         where b.last is not null and w.status in ('online', 'offline')
           and (w.status = 'online')
               <> (greatest(b.last, w.last_seen_at)
                   >= clock_timestamp() - make_interval(secs => p_silent_seconds))
         order by w.worker_id for update of w skip locked
    loop
        -- A worker that an operator or its own shutdown took offline stays so until it is seen.
        continue when v_worker.status = 'offline' and not exists (
            select from worker where worker_id = v_worker.worker_id
                and last_seen_at < v_worker.last);
        update worker
           set status = case status when 'online' then 'offline' else 'online' end,
               last_seen_at = greatest(last_seen_at, v_worker.last)
         where worker_id = v_worker.worker_id;
        perform event_note('worker_updated', 'worker/' || v_worker.worker_id, 'system',
            jsonb_build_object('status',
                case v_worker.status when 'online' then 'offline' else 'online' end));
        v_count := v_count + 1;
    end loop;
    delete from worker_session s
     where s.beat_at < clock_timestamp() - interval '1 day'
       and not exists (select from lease l
            where l.worker_id = s.worker_id and l.session_id = s.session_id);
    delete from progress p
     where p.at < clock_timestamp() - interval '1 day'
       and not exists (select from lease l
            where l.task_id = p.task_id and l.lease_id = p.lease_id);
    for v_worker in
        select w.worker_id from worker w
         where w.vanished and w.status = 'offline'
           and w.listed_at < clock_timestamp() - interval '30 days'
           and coalesce(w.last_seen_at, w.listed_at) < clock_timestamp() - interval '30 days'
         order by w.worker_id limit 100 for update of w skip locked
    loop
        perform bloom.worker_remove(v_worker.worker_id, '{"actor": "system"}');
        v_count := v_count + 1;
    end loop;
    delete from credential where exhausted_until < clock_timestamp() - interval '1 day';
    return v_count;
end
$$;
comment on function bloom.worker_sweep(integer) is 'Takes silent workers offline.';
