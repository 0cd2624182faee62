create or replace function bloom_private.ready_refuse(p_task_id uuid) returns void
language plpgsql stable as $$
-- Says why a task that is not in ready cannot be leased. Returns only if it is there after all:
-- it came back while the caller looked.
declare
    v_place record;
begin
    select * into v_place from task_place(p_task_id);
    if not found then
        perform task_missing(p_task_id);
    elsif v_place.status <> 'queued' then
        perform refuse(409, 'wrong_status',
            format('Task status is ''%s'', expected ''queued''', v_place.status),
            jsonb_build_object('task_id', p_task_id, 'status', v_place.status));
    elsif v_place.place = 'deferred' then
        perform refuse(409, 'not_due', format('Task is deferred until %s', v_place.run_at),
            jsonb_build_object('task_id', p_task_id,
                'run_at', (date_part('epoch', v_place.run_at) * 1000)::bigint));
    elsif v_place.place = 'parked' then
        perform refuse(409, 'context_busy', 'Another task of the same context has its turn',
            jsonb_build_object('task_id', p_task_id));
    end if;
end
$$;
comment on function bloom_private.ready_refuse(uuid) is
    'Raises why a task cannot be leased.';
