create or replace function bloom_private.progress_store(
    p_leases jsonb, p_worker_id text, p_session_id uuid
) returns void
language plpgsql volatile as $$
-- Keeps the last progress and the last usage of each lease that reports some. Progress takes at
-- most 8 KiB each, usage see usage_read; what does not fit is left out, and the last one stays.
begin
    if not jsonb_path_exists(p_leases, '$[*] ? (exists (@.progress) || exists (@.usage))') then
        return;
    end if;
    insert into progress as p (task_id, lease_id, at, progress, usage)
    select distinct on (l.task_id) l.task_id, l.lease_id, clock_timestamp(),
           case when octet_length((e.value -> 'progress')::text) <= 8192
                then nullif(e.value -> 'progress', 'null') end,
           usage_read(e.value -> 'usage')
      from jsonb_array_elements(p_leases) e
      join lease l on l.worker_id = p_worker_id and l.session_id = p_session_id
           and l.lease_id = (e.value ->> 'lease_id')::uuid
     where e.value ?| array['progress', 'usage']
     order by l.task_id
    on conflict (task_id) do update
       set lease_id = excluded.lease_id, at = excluded.at,
           progress = coalesce(excluded.progress,
               case when p.lease_id = excluded.lease_id then p.progress end),
           usage = coalesce(excluded.usage,
               case when p.lease_id = excluded.lease_id then p.usage end);
end
$$;
comment on function bloom_private.progress_store(jsonb, text, uuid) is
    'Keeps the last progress and usage of leases.';
