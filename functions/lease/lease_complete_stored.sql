create or replace function bloom.lease_complete_stored(
    p_task_id uuid, p_lease_id uuid, p_status text, p_stored jsonb, p_options jsonb default '{}'
) returns table (task_id uuid, task_status text, lease_id uuid, worker_id text, artifact_id uuid,
    completed_at timestamptz, replayed boolean)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- lease_complete for an output that the service has put into object storage.
--   p_stored   {url, sha256 (64 hexadecimal digits), size_bytes}. The url must name the lease, and
--              only the lease that it names is ended: so an object whose lease is not live and that
--              no artifact has can never come into use again (see artifact_sweep)
--   p_options  as lease_complete
-- Lock order and writes: as lease_complete. Raises RT400, RT404, RT409 lease_lost | wrong_status |
-- already_completed.
declare
    v_given completion;
    v_lease_id uuid := p_lease_id;
    v_end record;
begin
    perform stored_read(p_stored);
    v_given := completion_read(p_status, null, p_options);
    v_given.digest := stored_digest(v_given, decode(p_stored ->> 'sha256', 'hex'));
    if p_lease_id is null then
        v_lease_id := lease_current(p_task_id);
    end if;
    if strpos(p_stored ->> 'url', format('/%s/%s/', p_task_id, v_lease_id)) = 0 then
        v_lease_id := null;
    end if;
    v_end := completions_end(array[p_task_id], array[v_lease_id], array[v_given],
        array[null::text]);
    if v_end.places is null then
        return query select * from completion_replay(p_task_id, p_lease_id, v_given.digest);
        return;
    end if;
    update artifact a
       set url = p_stored ->> 'url', sha256 = decode(p_stored ->> 'sha256', 'hex'),
           size_bytes = (p_stored ->> 'size_bytes')::bigint
     where a.artifact_id = v_given.artifact_id;
    return query select p_task_id, v_end.statuses[1], v_lease_id, v_end.workers[1],
        v_given.artifact_id, v_end.ends[1], false;
end
$$;
comment on function bloom.lease_complete_stored(uuid, uuid, text, jsonb, jsonb) is
    'Ends a lease whose output is in object storage.';
