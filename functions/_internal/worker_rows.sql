create or replace function bloom_private.worker_rows(p_worker_id text)
returns setof bloom.worker_row
language sql stable as $$
-- Workers as clients see them, newest first; all of them where p_worker_id is null. The last sign
-- of life is the latest of the row's own and its sessions' beats.
select w.worker_id, w.url, w.status, w.claude_cli, s.max_concurrency, w.labels,
    greatest(w.last_seen_at,
        (select max(x.beat_at) from worker_session x where x.worker_id = w.worker_id)),
    w.ip_addrs, w.obs_count, w.db_sha, w.registered_at, s.active, w.agent_version, w.os_info,
    w.install_method, w.draining,
    case when s.active > 0 then array(select distinct l.context_id from lease l
        where l.worker_id = w.worker_id order by 1) else '{}' end,
    credential_of(w), credential_until(credential_of(w)), null::boolean
  from worker w join worker_slot s on s.worker_id = w.worker_id
 where p_worker_id is null or w.worker_id = p_worker_id
 order by w.registered_at desc, w.worker_id
$$;
comment on function bloom_private.worker_rows(text) is 'Workers as clients see them.';
