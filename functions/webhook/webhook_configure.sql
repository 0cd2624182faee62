create or replace function bloom.webhook_configure(p_webhook_id uuid, p_options jsonb)
returns setof bloom.webhook_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Changes a webhook; what is not given stays as it is. While it is paused nothing is sent; when it
-- goes on, it goes on where it was, as far as the event log is kept.
--   p_options  name, url, types, queues, max_events, max_attempts, backoff_ms (see webhook_create),
--              paused, secret (encrypted), actor
-- Lock order: webhook. Writes: webhook, event. Raises RT400, RT404 webhook_not_found.
declare
    v_actor text;
    v_old webhook;
    v_new webhook;
begin
    perform check_options(p_options, array['name', 'url', 'types', 'queues', 'max_events',
        'max_attempts', 'backoff_ms', 'paused', 'secret', 'actor']);
    v_actor := actor(p_options);
    select * into v_old from webhook where webhook_id = p_webhook_id for update;
    if not found then
        perform webhook_missing(p_webhook_id);
    end if;
    v_new := webhook_store(v_old, p_options);
    update webhook set name = v_new.name, url = v_new.url, types = v_new.types,
        queues = v_new.queues, max_events = v_new.max_events, max_attempts = v_new.max_attempts,
        backoff_ms = v_new.backoff_ms, paused = v_new.paused, paused_why = v_new.paused_why,
        deaths = v_new.deaths, secret = v_new.secret
     where webhook_id = p_webhook_id;
    perform event_note(case p_options -> 'paused' when 'true' then 'webhook_paused'
        when 'false' then 'webhook_resumed' else 'webhook_configured' end,
        'webhook/' || p_webhook_id, v_actor, p_options - 'actor' - 'secret');
    return query select * from webhook_rows(p_webhook_id);
end
$$;
comment on function bloom.webhook_configure(uuid, jsonb) is 'Changes a webhook.';
