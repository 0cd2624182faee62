create or replace function bloom_private.webhook_rows(p_webhook_id uuid)
returns setof bloom.webhook_row
language sql stable as $$
-- Webhooks as they are shown, newest first: this one, or all of them. pending counts deliveries
-- that are to be made, 1000 at most; attempts, next_at and last_error are those of the first one.
select w.webhook_id, w.name, w.url, w.types, w.queues, w.max_events, w.max_attempts, w.backoff_ms,
       w.paused, w.paused_why, w.xid, w.seq, w.created_at, w.created_by,
       (select count(*) from (select from webhook_delivery d
            where d.webhook_id = w.webhook_id and d.state = 'pending' limit 1000) c),
       coalesce(h.attempts, 0::smallint), h.next_at, coalesce(h.error, l.error),
       (select d.ended_at from webhook_delivery d
         where d.webhook_id = w.webhook_id and d.state = 'delivered'
         order by d.delivery_id desc limit 1)
  from webhook w
  left join lateral (select d.attempts, d.next_at, d.error from webhook_delivery d
        where d.webhook_id = w.webhook_id and d.state = 'pending'
        order by d.delivery_id limit 1) h on true
  left join lateral (select d.error from webhook_delivery d
        where d.webhook_id = w.webhook_id order by d.delivery_id desc limit 1) l on true
 where p_webhook_id is null or w.webhook_id = p_webhook_id
 order by w.webhook_id desc
$$;
comment on function bloom_private.webhook_rows(uuid) is 'Webhooks as they are shown.';
