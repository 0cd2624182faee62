create or replace function bloom.webhook_remove(p_webhook_id uuid, p_options jsonb default '{}')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Deletes a webhook and the log of its deliveries. A request under way is not called back.
--   p_options  actor
-- Lock order: webhook. Writes: webhook, webhook_delivery, event. Raises RT400, RT404
-- webhook_not_found.
declare
    v_actor text;
    v_name text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    delete from webhook where webhook_id = p_webhook_id returning name into v_name;
    if not found then
        perform webhook_missing(p_webhook_id);
    end if;
    perform event_note('webhook_removed', 'webhook/' || p_webhook_id, v_actor,
        jsonb_build_object('name', v_name));
end
$$;
comment on function bloom.webhook_remove(uuid, jsonb) is 'Deletes a webhook.';
