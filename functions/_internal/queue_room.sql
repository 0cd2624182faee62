create or replace function bloom_private.queue_room(p_queue text, p_limit integer)
returns integer
language plpgsql volatile as $$
-- How many more leases a limited queue may have now; locks its counter until the transaction ends.
-- The caller may have read p_limit before it was lowered; capacity is read with the lock.
declare
    v_room integer;
begin
    select least(p_limit, capacity) - running into v_room
      from queue_slot where queue = p_queue for no key update;
    return greatest(coalesce(v_room, 0), 0);
end
$$;
comment on function bloom_private.queue_room(text, integer) is
    'Free leases of a limited queue, with its counter locked.';
