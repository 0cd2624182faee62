create or replace function bloom_private.task_page(p_ids uuid[]) returns setof bloom.task_row
language plpgsql stable as $$
-- A page of these tasks, newest first, which stops early once their texts pass 16 MiB, so that it
-- fits into memory; the first task is always there.
declare
    v_row bloom.task_row;
    v_bytes bigint := 0;
    v_shown boolean := false;
begin
    for v_row in select * from task_rows(p_ids) loop
        v_bytes := v_bytes + octet_length(v_row.prompt)
            + octet_length(array_to_string(v_row.context_hints, ''));
        exit when v_shown and v_bytes > 16777216;
        v_shown := true;
        return next v_row;
    end loop;
end
$$;
comment on function bloom_private.task_page(uuid[]) is
    'A page of tasks that fits into memory.';
