create or replace function bloom_private.uuid_span(p_ids uuid[]) returns uuid[]
language plpgsql immutable as $$
-- The smallest and the largest of some ids. A statement that looks for the ids between them opens
-- only the partitions that can hold one: PostgreSQL leaves out others at the start of a statement
-- for a range that it is given, and not for the rows of a join.
declare
    v_first uuid;
    v_last uuid;
    v_id uuid;
begin
    foreach v_id in array p_ids loop
        if v_first is null then
            v_first := v_id;
            v_last := v_id;
        elsif v_id < v_first then
            v_first := v_id;
        elsif v_id > v_last then
            v_last := v_id;
        end if;
    end loop;
    return array[v_first, v_last];
end
$$;
comment on function bloom_private.uuid_span(uuid[]) is
    'The smallest and the largest of some ids.';
