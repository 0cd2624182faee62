create or replace function bloom_private.partition_weeks(p_parent text, p_before timestamptz)
returns setof date
language sql stable as $$
-- The weeks of p_parent's partitions that lie wholly before a moment, oldest first.
select w.week from (
    select to_date(right(c.relname, 8), 'YYYYMMDD') as week
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = ('bloom_private.' || p_parent)::regclass
       and c.relname ~ ('^' || p_parent || '_[0-9]{8}$')) w
 where w.week + 7 <= p_before order by 1
$$;
comment on function bloom_private.partition_weeks(text, timestamptz) is
    'The weeks of old partitions.';
