create or replace function bloom.audit_list(
    p_limit integer default 100, p_before_xid xid8 default null, p_before_seq bigint default null,
    p_options jsonb default '{}'
) returns setof bloom.event_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The audit trail, newest first: at most p_limit (1–1000) rows below (p_before_xid, p_before_seq).
--   p_options  subject ('worker/NAME', 'queue/NAME', …): only its rows
-- Raises RT400. The trail of one task is task_events.
declare
    v_subject text;
begin
    perform check_options(p_options, array['subject']);
    perform check_range('limit', p_limit, 1, 1000);
    v_subject := option_text(p_options, 'subject', null, 300);
    return query
        select e.xid, e.seq, e.at, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch,
               e.fence, e.attempts, e.crashes, e.lease_id, e.worker_id, e.subject, e.actor, e.detail
          from event e
         where (p_before_xid is null or (e.xid, e.seq) < (p_before_xid, p_before_seq))
           and (v_subject is null or e.subject = v_subject)
         order by e.xid desc, e.seq desc limit p_limit;
end
$$;
comment on function bloom.audit_list(integer, xid8, bigint, jsonb) is
    'The audit trail, newest first.';
