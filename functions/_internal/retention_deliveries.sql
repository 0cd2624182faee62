create or replace function bloom_private.retention_deliveries(p_before timestamptz) returns void
language sql volatile as $$
-- Forgets deliveries that ended before, 10,000 at most.
delete from webhook_delivery
 where delivery_id = any (array(select delivery_id from webhook_delivery
        where ended_at < p_before order by ended_at limit 10000))
   and ended_at < p_before
$$;
comment on function bloom_private.retention_deliveries(timestamptz) is 'Forgets old deliveries.';
