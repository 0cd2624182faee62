create or replace function bloom_private.webhook_store(
    p_old bloom_private.webhook, p_options jsonb
) returns bloom_private.webhook
language plpgsql stable as $$
-- The webhook with what the options say: name, url, types, queues, max_events, max_attempts,
-- backoff_ms, paused, secret. What is not given stays as it is.
declare
    v_new webhook := p_old;
begin
    v_new.name := option_text(p_options, 'name', p_old.name, 128);
    v_new.url := option_text(p_options, 'url', p_old.url, 2048);
    perform check_text('name', v_new.name, 1, 128);
    perform check_text('url', v_new.url, 1, 2048);
    v_new.types := option_texts(p_options, 'types', p_old.types, 100, 200);
    v_new.queues := option_texts(p_options, 'queues', p_old.queues, 100, 128);
    v_new.max_events := option_integer(p_options, 'max_events', p_old.max_events, 1, 100);
    v_new.max_attempts := option_integer(p_options, 'max_attempts', p_old.max_attempts, 1, 50);
    v_new.backoff_ms := option_integer(p_options, 'backoff_ms', p_old.backoff_ms, 100, 3600000);
    v_new.paused := option_boolean(p_options, 'paused', p_old.paused);
    if p_options ? 'paused' then
        v_new.paused_why := null;
        v_new.deaths := 0;
    end if;
    if p_options ? 'secret' and jsonb_typeof(p_options -> 'secret') <> 'null' then
        if jsonb_typeof(p_options -> 'secret') <> 'object'
            or octet_length(p_options ->> 'secret') > 4096
        then
            perform refuse_field('secret', 'Expected an encrypted secret');
        end if;
        v_new.secret := p_options -> 'secret';
    end if;
    return v_new;
end
$$;
comment on function bloom_private.webhook_store(bloom_private.webhook, jsonb) is
    'The webhook with what the options say.';
