create or replace function bloom.webhook_create(
    p_webhook_id uuid, p_name text, p_url text, p_secret jsonb, p_options jsonb default '{}'
) returns setof bloom.webhook_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Makes a webhook: from now on events are sent to p_url. The service makes them (POST /webhooks),
-- since the secret has to be encrypted with its key.
--   p_webhook_id  chosen by the caller: the secret is encrypted for it
--   p_secret      encrypted
--   p_options     types, queues (which events: see the filters of event streams; none: all),
--                 max_events (100: of one request, 1–100), max_attempts (15: 1–50),
--                 backoff_ms (2000: before the second attempt, doubling, 100–3,600,000), paused,
--                 actor
-- There may be 100. Writes: webhook, event. Raises RT400, RT409 webhook_exists, too_many_webhooks.
declare
    v_actor text;
    v_new webhook;
begin
    perform check_options(p_options, array['types', 'queues', 'max_events', 'max_attempts',
        'backoff_ms', 'paused', 'actor']);
    v_actor := actor(p_options);
    if p_webhook_id is null then
        perform refuse_field('webhook_id', 'Required');
    end if;
    perform check_text('name', p_name, 1, 128);
    perform check_text('url', p_url, 1, 2048);
    if jsonb_typeof(p_secret) is distinct from 'object' then
        perform refuse_field('secret', 'Expected an encrypted secret');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('bloom.webhooks', 0));
    if (select count(*) from webhook) >= 100 then
        perform refuse(409, 'too_many_webhooks', 'There are 100 webhooks already');
    end if;
    select p_webhook_id, p_name, p_url, p_secret, '{}', '{}', 100, 15, 2000, false, null, 0,
           pg_snapshot_xmin(pg_current_snapshot()), 0, null, null, now(), v_actor into v_new;
    v_new := webhook_store(v_new, p_options || jsonb_build_object('secret', p_secret));
    insert into webhook select v_new.* on conflict do nothing;
    if not found then
        perform refuse(409, 'webhook_exists', 'The webhook exists already');
    end if;
    perform event_note('webhook_created', 'webhook/' || p_webhook_id, v_actor,
        jsonb_build_object('name', p_name, 'url', p_url));
    return query select * from webhook_rows(p_webhook_id);
end
$$;
comment on function bloom.webhook_create(uuid, text, text, jsonb, jsonb) is 'Makes a webhook.';
