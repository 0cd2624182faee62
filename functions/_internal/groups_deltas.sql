create or replace function bloom_private.groups_deltas(p_groups bloom_private.event_group[])
returns table (queue text, status text, tasks bigint, entered bigint)
language sql immutable as $$
-- What these transitions do to the counts.
with changes as (
    select * from unnest(p_groups) g where g.prior is distinct from g.status
)
select d.queue, d.status, sum(d.n)::bigint, sum(greatest(d.n, 0))::bigint
  from (select c.queue, c.status, c.events as n from changes c
        union all
        select c.queue, c.prior, -c.events from changes c where c.prior is not null) d
 group by 1, 2
$$;
comment on function bloom_private.groups_deltas(bloom_private.event_group[]) is
    'What transitions do to the counts.';
