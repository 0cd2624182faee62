create or replace function bloom.webhook_release(p_webhook_id uuid, p_service_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Gives a webhook back, if the process still owns it. Writes: webhook.
begin
    update webhook set owner = null, owned_until = null
     where webhook_id = p_webhook_id and owner = p_service_id;
end
$$;
comment on function bloom.webhook_release(uuid, uuid) is 'Gives a webhook back.';
