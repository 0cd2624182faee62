create or replace function bloom.webhook_complete(
    p_delivery_id uuid, p_service_id uuid, p_delivered boolean, p_options jsonb default '{}'
) returns text
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Says what became of an attempt; the state of the delivery after it: delivered, pending (it will
-- be tried again) or dead (its attempts are used up; the webhook goes on with what came after).
-- Three dead ones in a row pause the webhook. The wait doubles from backoff_ms with each attempt,
-- up to an hour, and half of it is random.
--   p_options  status (100–999, of HTTP), error (1000 characters), duration_ms, seconds (1–3600: so
--              long the process goes on owning the webhook)
-- Lock order: webhook, webhook_delivery. Writes: webhook, webhook_delivery, event. Raises RT400,
-- RT409 webhook_taken.
declare
    v_delivery webhook_delivery;
    v_webhook webhook;
    v_wait double precision;
begin
    perform check_options(p_options, array['status', 'error', 'duration_ms', 'seconds']);
    if p_delivered is null then
        perform refuse_field('delivered', 'Required');
    end if;
    select * into v_delivery from webhook_delivery where delivery_id = p_delivery_id;
    v_webhook := webhook_owned(v_delivery.webhook_id, p_service_id);
    v_wait := least(3600000, v_webhook.backoff_ms * 2.0 ^ v_delivery.attempts)
        * (0.5 + random() / 2);
    update webhook_delivery d set
        attempts = attempts + 1,
        state = case when p_delivered then 'delivered'
            when d.attempts + 1 >= v_webhook.max_attempts then 'dead' else 'pending' end,
        next_at = case when not p_delivered and d.attempts + 1 < v_webhook.max_attempts
            then clock_timestamp() + make_interval(secs => v_wait / 1000) end,
        ended_at = case when p_delivered or d.attempts + 1 >= v_webhook.max_attempts
            then clock_timestamp() end,
        status = option_integer(p_options, 'status', null, 100, 999),
        error = option_text(p_options, 'error', null, 1000),
        duration_ms = option_integer(p_options, 'duration_ms', null, 0, 86400000)
     where d.delivery_id = p_delivery_id and d.state = 'pending'
    returning * into v_delivery;
    if not found then
        perform refuse(409, 'webhook_taken', 'The delivery has ended');
    end if;
    update webhook set
        deaths = case v_delivery.state when 'delivered' then 0 when 'dead' then deaths + 1
            else deaths end,
        paused = paused or v_delivery.state = 'dead' and deaths >= 2,
        paused_why = case when not paused and v_delivery.state = 'dead' and deaths >= 2
            then 'failing' else paused_why end,
        owned_until = clock_timestamp() + make_interval(secs =>
            option_integer(p_options, 'seconds', 60, 1, 3600))
     where webhook_id = v_webhook.webhook_id returning * into v_webhook;
    if v_webhook.paused_why = 'failing' then
        perform event_note('webhook_paused', 'webhook/' || v_webhook.webhook_id, 'system',
            jsonb_build_object('why', 'failing'));
    end if;
    return v_delivery.state;
end
$$;
comment on function bloom.webhook_complete(uuid, uuid, boolean, jsonb) is
    'Says what became of an attempt to deliver.';
