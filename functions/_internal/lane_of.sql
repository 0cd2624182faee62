create or replace function bloom_private.lane_of(
    p_queue text, p_requires text[], p_priority smallint, p_returned boolean
) returns integer
language plpgsql volatile as $$
-- The lane for a task's queue, requirements and priority; made when it is new.
--   raises RT409 too_many_lanes when requirements are used as if they were data; never for tasks
--   that come back, which have to go somewhere
declare
    v_lane integer;
begin
    select lane_id into v_lane from lane
     where queue = p_queue and requires = p_requires and priority = p_priority
       and returned = p_returned;
    if found then
        return v_lane;
    end if;
    if not p_returned and (select count(*) from lane where not returned) >= 10000 then
        perform bloom_private.refuse(409, 'too_many_lanes',
            'There are 10000 combinations of queue, labels and priority already');
    end if;
    insert into queue (name) values (p_queue) on conflict do nothing;
    insert into lane (queue, requires, priority, returned)
    values (p_queue, p_requires, p_priority, p_returned)
    on conflict (queue, requires, priority, returned) do nothing
    returning lane_id into v_lane;
    if v_lane is null then
        select lane_id into v_lane from lane
         where queue = p_queue and requires = p_requires and priority = p_priority
           and returned = p_returned;
        if v_lane is null then
            -- Somebody else made it, and this transaction's snapshot is too old to see it.
            raise exception using errcode = '40001', message = 'lane was created concurrently';
        end if;
    end if;
    return v_lane;
end
$$;
comment on function bloom_private.lane_of(text, text[], smallint, boolean) is
    'Finds or creates a lane.';
