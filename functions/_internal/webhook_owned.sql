create or replace function bloom_private.webhook_owned(
    p_webhook_id uuid, p_service_id uuid
) returns bloom_private.webhook
language plpgsql volatile as $$
-- The webhook, locked, if this service process delivers to it. Raises RT409 webhook_taken: another
-- one does by now, or the webhook is gone.
declare
    v_webhook webhook;
begin
    select * into v_webhook from webhook
     where webhook_id = p_webhook_id and owner = p_service_id for update;
    if not found then
        perform refuse(409, 'webhook_taken', 'Another process delivers to this webhook');
    end if;
    return v_webhook;
end
$$;
comment on function bloom_private.webhook_owned(uuid, uuid) is
    'The webhook, if this process delivers to it.';
