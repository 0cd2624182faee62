create or replace function bloom_private.worker_is_live(p_worker_id text, p_requires text[])
returns boolean
language plpgsql stable as $$
-- Whether a worker can be expected to ask for a task with these requirements soon: online, able,
-- not draining, its credential not exhausted, and heard of within the last 30 s.
begin
    return exists (
        select from worker w
         where w.worker_id = p_worker_id and w.status = 'online' and not w.draining
           and w.claude_cli and p_requires <@ w.labels
           and credential_until(credential_of(w)) is null
           and greatest(w.last_seen_at, (select max(s.beat_at) from worker_session s
                   where s.worker_id = w.worker_id)) > clock_timestamp() - interval '30 seconds');
end
$$;
comment on function bloom_private.worker_is_live(text, text[]) is
    'Whether a worker can be expected to take such a task soon.';
