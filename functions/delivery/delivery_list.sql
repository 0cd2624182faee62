create or replace function bloom.delivery_list(
    p_webhook_id uuid, p_limit integer default 100, p_before uuid default null
) returns setof bloom.delivery_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- The deliveries of a webhook, newest first, at most p_limit (1–1000) older than p_before, without
-- their events. Raises RT400, RT404 webhook_not_found.
begin
    perform check_range('limit', p_limit, 1, 1000);
    perform from webhook where webhook_id = p_webhook_id;
    if not found then
        perform webhook_missing(p_webhook_id);
    end if;
    return query
        select d.delivery_id, d.webhook_id, d.state, d.event_count, d.attempts, d.next_at, d.status,
               d.error, d.duration_ms, d.created_at, d.ended_at, null::text
          from webhook_delivery d
         where d.webhook_id = p_webhook_id and (p_before is null or d.delivery_id < p_before)
         order by d.delivery_id desc limit p_limit;
end
$$;
comment on function bloom.delivery_list(uuid, integer, uuid) is 'The deliveries of a webhook.';
