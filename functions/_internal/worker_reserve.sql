create or replace function bloom_private.worker_reserve(p_workers text[], p_requires text[])
returns text
language plpgsql volatile as $$
-- The first of these workers that is online, able and has room, with its counter locked until the
-- transaction ends. Raises RT503 no_available_worker; where only one was named, with the reason.
-- Lock order: worker, worker_slot.
declare
    v_worker_id text;
    v_reason text;
    v_holds boolean := false;
begin
    foreach v_worker_id in array coalesce(p_workers, '{}') loop
        -- Again once the counter is ours: who held it may have reported a limit of the worker.
        for v_look in 1..2 loop
            select case when w.status <> 'online' then 'is ' || w.status
                        when w.draining then 'is draining'
                        when not w.claude_cli then 'cannot run tasks'
                        when not p_requires <@ w.labels then 'lacks a required label'
                        when c.exhausted_until > clock_timestamp()
                            then format('has used up credential %s until %s', c.name,
                                time_text(c.exhausted_until))
                   end into v_reason
              from worker w left join credential c on c.name = credential_of(w)
             where w.worker_id = v_worker_id;
            if not found then
                v_reason := 'is not registered';
            end if;
            exit when v_look = 2 or v_reason is not null;
            -- Its session may have to be made later, which locks it behind its counter.
            perform from worker where worker_id = v_worker_id for key share;
            -- Who holds one counter waits for no other: claims lock theirs in another order.
            if v_holds then
                perform from worker_slot s
                  where s.worker_id = v_worker_id and s.active < s.max_concurrency
                    for no key update skip locked;
            else
                perform from worker_slot s
                  where s.worker_id = v_worker_id and s.active < s.max_concurrency
                    for no key update;
            end if;
            if not found then
                v_reason := 'has no free capacity';
                exit;
            end if;
            v_holds := true;
        end loop;
        if v_reason is null then
            return v_worker_id;
        end if;
    end loop;
    perform refuse(503, 'no_available_worker',
        case when cardinality(p_workers) = 1
             then format('No available worker with free capacity: worker %s %s', v_worker_id,
                 v_reason)
             else 'No available worker with free capacity' end);
end
$$;
comment on function bloom_private.worker_reserve(text[], text[]) is
    'Locks a slot of the first able worker.';
