create or replace function bloom.delivery_requeue(
    p_delivery_id uuid, p_options jsonb default '{}'
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Makes a delivery that has ended pending again, with all its attempts: it goes before what is
-- waiting. One that is pending is tried at once.
--   p_options  actor
-- Lock order: webhook_delivery. Writes: webhook_delivery, event. Raises RT400, RT404
-- delivery_not_found.
declare
    v_actor text;
    v_webhook uuid;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    update webhook_delivery
       set state = 'pending', attempts = 0, next_at = clock_timestamp(), ended_at = null
     where delivery_id = p_delivery_id returning webhook_id into v_webhook;
    if not found then
        perform refuse(404, 'delivery_not_found', 'Delivery not found',
            jsonb_build_object('delivery_id', p_delivery_id));
    end if;
    perform event_note('delivery_requeued', 'webhook/' || v_webhook, v_actor,
        jsonb_build_object('delivery_id', p_delivery_id));
end
$$;
comment on function bloom.delivery_requeue(uuid, jsonb) is 'Makes a delivery again.';
