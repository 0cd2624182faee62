create or replace function bloom_private.waits_counted(p_from xid8, p_to xid8)
returns table (minute timestamptz, waits integer[])
language sql stable
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set jit = off as $$
-- How long tasks had been ready when they were leased by transactions p_from ≤ xid < p_to, by
-- minute, as counts of 64 buckets: of the last 2000 transitions at most, which is a sample where
-- there are more. What was ready for more than 14 days counts as 35.
with recent as materialized (
    select e.task_id, e.ver, e.at, e.status, e.prior from event e
     where e.xid >= p_from and e.xid < p_to order by e.xid desc, e.seq desc limit 2000
), counted as materialized (
    select date_trunc('minute', r.at) as minute, wait_bucket(coalesce(
               extract(epoch from r.at - p.at)::double precision * 1000, 1e10)) as bucket,
           count(*)::integer as n
      from recent r
      left join lateral (select p.at from event p
          where p.task_id = r.task_id and p.ver = r.ver - 1
            and p.at between r.at - interval '14 days' and r.at + interval '1 minute'
          limit 1) p on true
     where r.status = 'leased' and r.prior = 'queued'
     group by 1, 2
)
select m.minute, array(select coalesce(c.n, 0) from generate_series(0, 63) b
           left join counted c on c.minute = m.minute and c.bucket = b order by b)
  from (select distinct c.minute from counted c) m
$$;
comment on function bloom_private.waits_counted(xid8, xid8) is
    'How long tasks had been ready when they were leased.';
