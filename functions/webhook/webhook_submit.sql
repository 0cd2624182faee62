create or replace function bloom.webhook_submit(
    p_webhook_id uuid, p_service_id uuid, p_xid xid8, p_seq bigint, p_events text,
    p_event_count integer
) returns setof bloom.webhook_work
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Moves a webhook to a place in the event log and makes the delivery of the events on the way: the
-- webhook as it is by now, with the delivery; without one where no event is wanted
-- (p_event_count 0).
-- Lock order: webhook. Writes: webhook, webhook_delivery. Raises RT400, RT409 webhook_taken: the
-- process does not own the webhook any more, or it has gone on; webhook_paused.
declare
    v_webhook webhook;
    v_id uuid;
begin
    perform check_range('event_count', p_event_count, 0, 100);
    if p_xid is null or p_seq is null or p_events is null then
        perform refuse_field('events', 'Required');
    end if;
    v_webhook := webhook_owned(p_webhook_id, p_service_id);
    if v_webhook.paused then
        perform refuse(409, 'webhook_paused', 'The webhook is paused');
    end if;
    -- The process may have got it a second time, and its other hand have gone on with it. Back goes
    -- only one whose place was another server's (see audit_read).
    if (p_xid, p_seq) <= (v_webhook.xid, v_webhook.seq)
            and v_webhook.xid <= pg_snapshot_xmax(pg_current_snapshot())
        or exists (select from webhook_delivery d
            where d.webhook_id = p_webhook_id and d.state = 'pending')
    then
        perform refuse(409, 'webhook_taken', 'The webhook has gone on');
    end if;
    update webhook set xid = p_xid, seq = p_seq where webhook_id = p_webhook_id;
    if p_event_count > 0 then
        v_id := uuid_v7();
        insert into webhook_delivery (delivery_id, webhook_id, events, event_count)
        values (v_id, p_webhook_id, p_events, p_event_count);
    end if;
    return query
        select w.webhook_id, w.url, w.secret, w.types, w.queues, w.max_events, w.xid, w.seq, v_id,
               case when v_id is not null then p_events end, 0::smallint
          from webhook w where w.webhook_id = p_webhook_id;
end
$$;
comment on function bloom.webhook_submit(uuid, uuid, xid8, bigint, text, integer) is
    'Makes a delivery of events.';
