create or replace function bloom.delivery_get(p_delivery_id uuid)
returns setof bloom.delivery_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- A delivery with its events. Raises RT404 delivery_not_found.
begin
    return query
        select d.delivery_id, d.webhook_id, d.state, d.event_count, d.attempts, d.next_at, d.status,
               d.error, d.duration_ms, d.created_at, d.ended_at, d.events
          from webhook_delivery d where d.delivery_id = p_delivery_id;
    if not found then
        perform refuse(404, 'delivery_not_found', 'Delivery not found',
            jsonb_build_object('delivery_id', p_delivery_id));
    end if;
end
$$;
comment on function bloom.delivery_get(uuid) is 'A delivery with its events.';
