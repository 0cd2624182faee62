create or replace function bloom_private.backoff(p_policy jsonb, p_attempts integer)
returns interval
language sql volatile as $$
-- The wait before the next attempt: exponential from backoff_base_sec, capped at backoff_cap_sec,
-- with full jitter above the base: base + random × (min(cap, base × 2^attempts) − base).
-- The first retry thus comes after base to 2 × base.
select make_interval(secs =>
    base + random() * greatest(least(cap, base * 2 ^ p_attempts) - base, 0))
  from (select (p_policy ->> 'backoff_base_sec')::double precision,
               (p_policy ->> 'backoff_cap_sec')::double precision) p(base, cap)
$$;
comment on function bloom_private.backoff(jsonb, integer) is 'The wait before the next attempt.';
