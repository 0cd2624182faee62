create or replace function bloom_private.ids_in_order(p_task_ids uuid[]) returns uuid[]
language plpgsql immutable as $$
-- The distinct ids of a bulk call (at most 1000, none null), oldest first: the order in which all
-- verbs lock, so that two cannot wait for each other's rows. Raises RT400.
begin
    if p_task_ids is null or array_position(p_task_ids, null) is not null then
        perform refuse_field('task_ids', 'Required');
    end if;
    perform check_range('task_ids', cardinality(p_task_ids), 0, 1000);
    return array(select distinct i from unnest(p_task_ids) i order by i);
end
$$;
comment on function bloom_private.ids_in_order(uuid[]) is 'The ids of a bulk call, to be locked.';
