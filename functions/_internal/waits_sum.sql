create or replace function bloom_private.waits_sum(p_one integer[], p_other integer[])
returns integer[]
language sql immutable as $$
-- The sum of two counts of waits, either of which may be missing.
select case when p_one is null then p_other when p_other is null then p_one else
    array(select u.a + u.b from unnest(p_one, p_other) with ordinality u (a, b, ord)
           order by u.ord) end
$$;
comment on function bloom_private.waits_sum(integer[], integer[]) is
    'The sum of two counts of waits.';
