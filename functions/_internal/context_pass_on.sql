create or replace function bloom_private.context_pass_on(p_task_ids uuid[]) returns void
language plpgsql volatile as $$
-- After the end of serial tasks: gives each one's turn to the next parked task of its context, in
-- the order of submission. Tasks that hold no turn are passed over, and those that were queued anew
-- between the caller's look and this one: their turn is theirs.
-- Lock order: context_slot rows by context, then parked rows.
declare
    v_context text;
    v_head uuid;
    v_next parked;
begin
    for v_context in
        select t.context_id from task t
         where t.task_id = any (p_task_ids) and t.serial order by t.context_id
    loop
        perform from context_slot s
          where s.context_id = v_context and s.task_id = any (p_task_ids)
            and exists (select from finished f where f.task_id = s.task_id) for update;
        continue when not found;
        loop
            select p.task_id into v_head from parked p
             where p.context_id = v_context order by p.seq limit 1;
            exit when not found;
            delete from parked where task_id = v_head returning * into v_next;
            exit when found;
            -- Cancelled meanwhile, or written anew for another priority: another look.
        end loop;
        if v_head is null then
            delete from context_slot where context_id = v_context;
            continue;
        end if;
        update context_slot set task_id = v_next.task_id where context_id = v_context;
        insert into ready (task_id, queue, ver, epoch, fence, attempts, crashes, cause, prior,
            actor, lane_id, context_id)
        select v_next.task_id, v_next.queue, v_next.ver + 1, v_next.epoch, v_next.fence,
            v_next.attempts, v_next.crashes, 'turn', v_next.status, 'system',
            lane_of(t.queue, t.requires, t.priority, false), v_next.context_id
          from task t where t.task_id = v_next.task_id;
    end loop;
end
$$;
comment on function bloom_private.context_pass_on(uuid[]) is
    'Gives the turn of serial contexts to their next tasks.';
