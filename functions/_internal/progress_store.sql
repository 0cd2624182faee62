create or replace function bloom_private.progress_store(
    p_leases jsonb, p_worker_id text, p_session_id uuid
) returns void
language plpgsql volatile as $$
-- Keeps the last progress of each lease that reports some; at most 8 KiB each, longer is left out.
begin
    if not jsonb_path_exists(p_leases, '$[*].progress') then
        return;
    end if;
    insert into progress as p (task_id, lease_id, at, progress)
    select distinct on (l.task_id) l.task_id, l.lease_id, clock_timestamp(), e.value -> 'progress'
      from jsonb_array_elements(p_leases) e
      join lease l on l.worker_id = p_worker_id and l.session_id = p_session_id
           and l.lease_id = (e.value ->> 'lease_id')::uuid
     where e.value ? 'progress' and octet_length((e.value -> 'progress')::text) <= 8192
     order by l.task_id
    on conflict (task_id) do update
       set lease_id = excluded.lease_id, at = excluded.at, progress = excluded.progress;
end
$$;
comment on function bloom_private.progress_store(jsonb, text, uuid) is
    'Keeps the last progress of leases.';
