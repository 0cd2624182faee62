create or replace function bloom_private.wait_quantile(
    p_waits bigint[], p_share double precision
) returns bigint
language sql immutable as $$
-- The time, in milliseconds, that a share of the counted waits (see wait_bucket) did not exceed;
-- null where none was counted. Within a bucket times are taken to be spread evenly.
select case when b.bucket = 0 then 0 else round(power(2, (b.bucket - 1) / 2.0)
           + (power(2, b.bucket / 2.0) - power(2, (b.bucket - 1) / 2.0))
             * (b.total * p_share - (b.sum - b.n)) / b.n)::bigint end
  from (select w.ord - 1 as bucket, w.n, sum(w.n) over (order by w.ord) as sum,
               sum(w.n) over () as total
          from unnest(p_waits) with ordinality w (n, ord)) b
 where b.n > 0 and b.sum >= b.total * p_share
 order by b.bucket limit 1
$$;
comment on function bloom_private.wait_quantile(bigint[], double precision) is
    'A quantile of times of waiting.';
