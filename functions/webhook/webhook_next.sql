create or replace function bloom.webhook_next(
    p_service_id uuid, p_limit integer, p_seconds integer
) returns setof bloom.webhook_work
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set jit = off as $$
-- Hands at most p_limit (1–100) webhooks that have something to do to a service process, for
-- p_seconds (1–3600): until then no other process gets them. A webhook has something to do when its
-- first pending delivery is due, or when none is pending and the event log has gone on.
-- Lock order: webhook (skip locked). Writes: webhook. Raises RT400.
begin
    if p_service_id is null then
        perform refuse_field('service_id', 'Required');
    end if;
    perform check_range('limit', p_limit, 1, 100);
    perform check_range('seconds', p_seconds, 1, 3600);
    return query
        with free as materialized (
            select w.webhook_id, d.delivery_id, d.events, d.attempts
              from webhook w
              left join lateral (select * from webhook_delivery p
                    where p.webhook_id = w.webhook_id and p.state = 'pending'
                    order by p.delivery_id limit 1) d on true
             where not w.paused and coalesce(w.owned_until, '-infinity') < clock_timestamp()
               and case when d.delivery_id is not null then d.next_at <= clock_timestamp()
                   else exists (select from event e where (e.xid, e.seq) > (w.xid, w.seq)
                       and e.xid < pg_snapshot_xmin(pg_current_snapshot())) end
             order by w.owned_until nulls first, w.webhook_id limit p_limit
               for update of w skip locked
        )
        update webhook w set owner = p_service_id,
               owned_until = clock_timestamp() + make_interval(secs => p_seconds)
          from free f where w.webhook_id = f.webhook_id
        returning w.webhook_id, w.url, w.secret, w.types, w.queues, w.max_events, w.xid, w.seq,
            f.delivery_id, f.events, f.attempts;
end
$$;
comment on function bloom.webhook_next(uuid, integer, integer) is
    'Hands webhooks that have something to do to a service process.';
