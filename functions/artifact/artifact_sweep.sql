create or replace function bloom.artifact_sweep(
    p_tasks uuid[], p_leases uuid[], p_urls text[]
) returns table (ordinal integer)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- Which of up to 1000 objects in storage are nobody's, by their numbers from 1: no artifact has
-- them, and the lease that they were put there for is not live. Both are seen at one moment, and a
-- completion turns the one into the other in one transaction, so what is nobody's here stays so:
-- the caller may delete it. Changes nothing. Raises RT400.
--   p_tasks, p_leases, p_urls  arrays of the same length: for each object its task, its lease and
--                              its address
declare
    v_dims text := '[1:' || cardinality(p_tasks) || ']';
begin
    perform check_range('tasks', coalesce(cardinality(p_tasks), 0), 1, 1000);
    if array_dims(p_tasks) <> v_dims
        or array_dims(p_leases) is distinct from v_dims
        or array_dims(p_urls) is distinct from v_dims
        or array_position(p_tasks, null) is not null
        or array_position(p_leases, null) is not null
        or array_position(p_urls, null) is not null
    then
        perform refuse_field('tasks',
            'Expected arrays of the same length, counted from 1, without null');
    end if;
    return query
        select o.n::integer
          from unnest(p_tasks, p_leases, p_urls) with ordinality o(task_id, lease_id, url, n)
         where not exists (select from lease l
                            where l.task_id = o.task_id and l.lease_id = o.lease_id)
           and not exists (select from artifact a
                            where a.task_id = o.task_id and a.url = o.url)
         order by 1;
end
$$;
comment on function bloom.artifact_sweep(uuid[], uuid[], text[]) is
    'Which objects in storage are nobody''s.';
