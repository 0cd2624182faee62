create or replace function bloom_private.lease_expiry(l bloom_private.lease)
returns timestamptz
language plpgsql stable as $$
-- When a lease runs out: its own date, or the last beat of its session + ttl where that is later;
-- never past 30 s after the beats ceased to list it, nor past the cancel deadline. Running out
-- makes a lease eligible for lease_expire and nothing else: what makes it invalid is that verb's
-- committed transition.
declare
    v_beaten timestamptz;
begin
    if l.session_id is not null then
        select s.beat_at + make_interval(secs => l.ttl_seconds) into v_beaten
          from worker_session s where s.session_id = l.session_id;
    end if;
    return least(l.cancel_deadline, l.unlisted_at + interval '30 seconds',
        greatest(l.expires_at, v_beaten));
end
$$;
comment on function bloom_private.lease_expiry(bloom_private.lease) is 'When a lease runs out.';
