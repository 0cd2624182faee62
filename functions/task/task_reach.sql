create or replace function bloom.task_reach(p_status text, p_before uuid default null)
returns uuid
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- How far a filtered task_list with these arguments looks: the last id of its 20,000, from which to
-- go on when its page is short; null where it reaches the end.
declare
    v_ids uuid[] := array(select i from task_ids(p_status, 20000, p_before) i);
begin
    return case when cardinality(v_ids) = 20000 then v_ids[20000] end;
end
$$;
comment on function bloom.task_reach(text, uuid) is 'How far a filtered task_list looks.';
