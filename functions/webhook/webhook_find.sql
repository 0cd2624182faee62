create or replace function bloom.webhook_find(p_webhook_id uuid)
returns table (url text, secret jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- What is needed to send something to a webhook: its address and its encrypted secret. Raises RT404
-- webhook_not_found.
begin
    return query select w.url, w.secret from webhook w where w.webhook_id = p_webhook_id;
    if not found then
        perform webhook_missing(p_webhook_id);
    end if;
end
$$;
comment on function bloom.webhook_find(uuid) is 'The address and the secret of a webhook.';
