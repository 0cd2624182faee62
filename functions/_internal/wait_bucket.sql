create or replace function bloom_private.wait_bucket(p_ms double precision) returns integer
language sql immutable as $$
-- Which of 64 buckets a time of waiting belongs to: bucket b ends at 2 ^ (b / 2) milliseconds, so
-- each is 1.4 times as wide as the one before, and the last ends at 35 days.
select least(63, greatest(0, ceil(2 * ln(greatest(p_ms, 1)) / ln(2))))::integer
$$;
comment on function bloom_private.wait_bucket(double precision) is
    'Which bucket a time of waiting belongs to.';
