create or replace function bloom.task_log_append(
    p_task_id uuid, p_lease_id uuid, p_position bigint, p_text text, p_options jsonb default '{}'
) returns table (next_position bigint, capped boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Adds a piece (at most 65,536 characters) to the live log of a lease. Only the current lease may;
-- it renews nothing.
--   p_position  how many bytes of this lease's log the caller knows to be stored. What is stored
--               already is not stored twice; where something before it is missing, nothing is.
--               The part that is not stored yet must begin with a whole character
--   p_options   worker_id (must be the lease's)
-- Returns how many bytes are stored now, which is where the next piece begins, and whether the log
-- has reached its 1 MiB, cut to whole characters, after which nothing more is stored.
-- Lock order: lease (shared). Writes: task_log. Raises RT400, RT404, RT409 lease_lost.
declare
    v_cap constant bigint := 1048576;
    -- Up to here a character, of at most 4 bytes, still fits.
    v_last constant bigint := v_cap - 4;
    v_worker_id text;
    v_fence integer;
    v_bytes bytea;
    v_room bigint;
    v_stored bigint;
begin
    perform check_options(p_options, array['worker_id']);
    v_worker_id := option_text(p_options, 'worker_id', null, 128);
    if p_lease_id is null then
        perform refuse_field('lease_id', 'Required');
    end if;
    perform check_range('position', p_position, 0, 1099511627776);
    perform check_text('text', p_text, 0, 65536);
    -- Locked (shared), so that the lease does not end between this look and the writing.
    select l.fence into v_fence from lease l
     where l.task_id = p_task_id and l.lease_id = p_lease_id
       and (v_worker_id is null or l.worker_id = v_worker_id) for key share;
    if not found then
        perform lease_refuse(p_task_id, p_lease_id, 'log');
    end if;
    select coalesce(max(g.position + octet_length(g.text)), 0) into v_stored from (
        select t.position, t.text from task_log t
         where t.task_id = p_task_id and t.fence = v_fence order by t.position desc limit 1) g;
    v_bytes := convert_to(p_text, 'UTF8');
    if p_position <= v_stored and p_position + octet_length(v_bytes) > v_stored
        and v_stored <= v_last
    then
        v_bytes := substring(v_bytes from (v_stored - p_position)::integer + 1);
        if get_byte(v_bytes, 0) & 192 = 128 then
            perform refuse_field('position', 'Expected the beginning of a character');
        end if;
        v_room := v_cap - v_stored;
        while v_room < octet_length(v_bytes)
            and get_byte(v_bytes, v_room::integer) & 192 = 128
        loop
            v_room := v_room - 1;
        end loop;
        v_bytes := substring(v_bytes from 1 for least(v_room, octet_length(v_bytes))::integer);
        insert into task_log (task_id, fence, position, text)
        values (p_task_id, v_fence, v_stored, convert_from(v_bytes, 'UTF8'))
        on conflict do nothing;
        if found then
            v_stored := v_stored + octet_length(v_bytes);
        end if;
    end if;
    return query select v_stored, v_stored > v_last;
end
$$;
comment on function bloom.task_log_append(uuid, uuid, bigint, text, jsonb) is
    'Adds to the live log of a lease.';
