create or replace function bloom_private.context_acquire(p_context_id text, p_task_id uuid)
returns boolean
language plpgsql volatile as $$
-- Whether a serial task has the turn of its context; takes the turn if nobody has it. Locks the
-- context's row either way, so that a task parked now cannot be missed by the one who ends.
declare
    v_holder uuid;
begin
    insert into context_slot as s (context_id, task_id) values (p_context_id, p_task_id)
    on conflict (context_id) do update set task_id = s.task_id
    returning s.task_id into v_holder;
    return v_holder = p_task_id;
end
$$;
comment on function bloom_private.context_acquire(text, uuid) is
    'Takes the turn of a serial context if it is free.';
