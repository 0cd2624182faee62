create or replace function bloom.queue_configure(p_queue text, p_options jsonb)
returns setof bloom.queue_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Creates a queue or changes it; what is not given stays as it is.
--   p_options  paused, max_running (1–1,000,000, or null: no limit), serial_contexts (tasks
--              submitted from now on run one at a time per context, in order), aging_seconds
--              1–86400, pin_wait_ms 0–600000, actor
-- Leases that were granted without a limit are not counted against a new one.
-- Lock order: queue_slot, queue. Writes: queue, queue_slot, event. Raises RT400.
declare
    v_actor text;
    v_limit integer;
begin
    perform check_text('queue', p_queue, 1, 128);
    perform check_options(p_options, array['paused', 'max_running', 'serial_contexts',
        'aging_seconds', 'pin_wait_ms', 'actor']);
    v_actor := actor(p_options);
    v_limit := option_integer(p_options, 'max_running', null, 1, 1000000);
    insert into queue (name) values (p_queue) on conflict do nothing;
    if p_options ? 'max_running' then
        insert into queue_slot as s (queue, capacity) values (p_queue, coalesce(v_limit, 0))
        on conflict (queue) do update set capacity = greatest(coalesce(v_limit, 0), s.running);
    end if;
    update queue set
        paused = option_boolean(p_options, 'paused', paused),
        max_running = case when p_options ? 'max_running' then v_limit else max_running end,
        serial_contexts = option_boolean(p_options, 'serial_contexts', serial_contexts),
        aging_seconds = option_integer(p_options, 'aging_seconds', aging_seconds, 1, 86400),
        pin_wait_ms = option_integer(p_options, 'pin_wait_ms', pin_wait_ms, 0, 600000)
     where name = p_queue;
    perform event_note(case p_options -> 'paused' when 'true' then 'queue_paused'
        when 'false' then 'queue_resumed' else 'queue_configured' end,
        'queue/' || p_queue, v_actor, p_options - 'actor');
    perform ready_announce(null, null, 1);
    return query select * from bloom.queue_list() q where q.queue = p_queue;
end
$$;
comment on function bloom.queue_configure(text, jsonb) is 'Creates a queue or changes it.';
