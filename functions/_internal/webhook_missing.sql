create or replace function bloom_private.webhook_missing(p_webhook_id uuid) returns void
language plpgsql immutable as $$
-- Raises RT404 webhook_not_found.
begin
    perform bloom_private.refuse(404, 'webhook_not_found', 'Webhook not found',
        jsonb_build_object('webhook_id', p_webhook_id));
end
$$;
comment on function bloom_private.webhook_missing(uuid) is 'Raises RT404 webhook_not_found.';
