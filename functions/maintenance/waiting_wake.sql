create or replace function bloom.waiting_wake(p_lanes jsonb, p_service_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Tells the other service processes what a service accepted: what it calls, once for many
-- submissions and outside of their transactions, instead of letting each of them notify.
--   p_lanes       array of {queue, requires, tasks}, at most 1000
--   p_service_id  the caller, which will not wake itself
-- Tells nothing while the queue of notifications is half full (see ready_announce). Writes nothing.
-- Raises RT400.
begin
    if jsonb_typeof(p_lanes) is distinct from 'array' then
        perform refuse_field('lanes', 'Expected array');
    end if;
    perform check_range('lanes', jsonb_array_length(p_lanes), 0, 1000);
    if exists (select from jsonb_array_elements(p_lanes) e where jsonb_typeof(e.value) <> 'object')
    then
        perform refuse_field('lanes', 'Expected objects');
    end if;
    perform pg_notify('bloom_ready',
                (e.value || jsonb_build_object('by', p_service_id))::text)
       from jsonb_array_elements(p_lanes) e
      where octet_length(e.value::text) < 7000
        and exists (select from waiting w
            where w.until > clock_timestamp() and w.service_id <> p_service_id)
        and pg_notification_queue_usage() < 0.5;
end
$$;
comment on function bloom.waiting_wake(jsonb, uuid) is
    'Tells waiting services that there is work.';
