create or replace function bloom.audit_read(
    p_after_xid xid8, p_after_seq bigint, p_limit integer default 1000
) returns setof bloom.event_row
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The event log from a cursor (xid, seq) on, oldest first, at most p_limit (1–10000) rows; start at
-- ('0', 0). Only rows of transactions older than every running one are shown: whatever is below
-- them is there already, so a reader that goes on from its last row misses nothing. A transaction
-- held open for long thus holds readers back. The transitions of a task come in their order.
-- Writes nothing. Raises RT400, RT409 cursor_expired: retention dropped rows after the cursor, or
-- the cursor is of another server.
begin
    perform check_range('limit', p_limit, 1, 10000);
    if p_after_xid is null or p_after_seq is null then
        perform refuse_field('after', 'Required');
    end if;
    -- Retention is waited for now, not between the look at what it dropped and the reading.
    lock table event in access share mode;
    if p_after_xid > pg_snapshot_xmax(pg_current_snapshot())
        or p_after_xid > '0' and exists (select from log_cursor c
            where c.name = 'event_dropped' and (c.xid, c.seq) > (p_after_xid, p_after_seq))
    then
        perform refuse(409, 'cursor_expired', 'The log does not reach back to this cursor');
    end if;
    return query
        select e.xid, e.seq, e.at, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch,
               e.fence, e.attempts, e.crashes, e.lease_id, e.worker_id, e.subject, e.actor, e.detail
          from event e
         where (e.xid, e.seq) > (p_after_xid, p_after_seq)
           and e.xid < pg_snapshot_xmin(pg_current_snapshot())
         order by e.xid, e.seq limit p_limit;
end
$$;
comment on function bloom.audit_read(xid8, bigint, integer) is
    'The event log from a cursor on, oldest first.';
