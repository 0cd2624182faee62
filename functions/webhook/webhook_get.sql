create or replace function bloom.webhook_get(p_webhook_id uuid) returns setof bloom.webhook_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- A webhook, without its secret. Raises RT404 webhook_not_found.
begin
    return query select * from webhook_rows(coalesce(p_webhook_id, gen_random_uuid()));
    if not found then
        perform webhook_missing(p_webhook_id);
    end if;
end
$$;
comment on function bloom.webhook_get(uuid) is 'A webhook.';
