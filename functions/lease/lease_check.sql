create or replace function bloom.lease_check(p_task_id uuid, p_lease_id uuid default null)
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- Raises what lease_complete would raise because of the task's state, and changes nothing. For
-- callers that must report that before they report a malformed result.
begin
    perform from lease l where l.task_id = p_task_id
        and (l.lease_id = p_lease_id or p_lease_id is null and lease_expiry(l) > clock_timestamp());
    if not found then
        perform from attempt a where a.task_id = p_task_id and a.lease_id = p_lease_id
            and a.result_status is not null;
        if not found then
            perform lease_refuse(p_task_id, p_lease_id, 'complete');
        end if;
    end if;
end
$$;
comment on function bloom.lease_check(uuid, uuid) is
    'Raises why a lease could not be completed now.';
