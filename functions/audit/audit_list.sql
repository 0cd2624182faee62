create or replace function bloom.audit_list(
    p_limit integer default 100, p_before_xid xid8 default null, p_before_seq bigint default null,
    p_options jsonb default '{}'
) returns setof bloom.event_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
-- The audit trail, newest first: at most p_limit (1–1000) rows below (p_before_xid, p_before_seq).
--   p_options  task_id, or subject ('worker/NAME', 'queue/NAME', …): only the rows of one thing;
--              kind ('task', 'lease': the grants, or the first part of a subject), actor, causes
--              (an array), lease_id: only such rows. These four look through at most 20,000 rows,
--              so that no page walks a whole history; a page shorter than its limit may thus not be
--              the last one: audit_reach tells.
-- Raises RT400.
declare
    v_options jsonb := audit_options(p_options);
    v_task uuid := option_uuid(p_options, 'task_id');
    v_subject text := p_options ->> 'subject';
    v_filtered boolean := jsonb_strip_nulls(p_options - array['task_id', 'subject']) <> '{}';
begin
    perform check_range('limit', p_limit, 1, 1000);
    if v_task is not null or v_subject is not null then
        return query
            select e.xid, e.seq, e.at, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status,
                   e.epoch, e.fence, e.attempts, e.crashes, e.lease_id, e.worker_id, e.subject,
                   e.actor, e.detail
              from event_trail(v_task, v_subject, p_before_xid, p_before_seq,
                       case when v_filtered then 20000 else p_limit end) e
             where not v_filtered or event_matches(e, v_options)
             limit p_limit;
        return;
    end if;
    return query
        select e.xid, e.seq, e.at, e.cause, e.task_id, e.ver, e.queue, e.prior, e.status, e.epoch,
               e.fence, e.attempts, e.crashes, e.lease_id, e.worker_id, e.subject, e.actor, e.detail
          from event_window(p_before_xid, p_before_seq,
                   case when v_filtered then 20000 else p_limit end,
                   (v_options -> 'subjects_only')::boolean) e
         where not v_filtered or event_matches(e, v_options)
         limit p_limit;
end
$$;
comment on function bloom.audit_list(integer, xid8, bigint, jsonb) is
    'The audit trail, newest first.';
