create or replace function bloom.worker_beat(
    p_worker_id text, p_session_id uuid, p_leases jsonb default '[]', p_options jsonb default '{}'
) returns jsonb
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
-- One sign of life for a worker process and all of its leases: writes one row, however many leases
-- it renews.
--   p_leases   array of {lease_id, progress?, usage?}: the leases that the process works on, at
--              most 100. Those that it holds but does not list run out after 30 s. progress is any
--              JSON up to 8 KiB, usage an object of at most 30 numbers and short texts; others are
--              left out.
-- Returns {"leases": [{"lease_id", "state": "ok" | "cancel" | "lost"}], "drain": bool}. "cancel"
-- stays until the lease ends, so that no lost answer can lose it.
-- Lock order: worker_session, lease (skip locked). Writes: worker_session; lease and event where a
-- cancel is delivered or a lease is missing from the list. Raises RT400, RT404 worker_not_found,
-- RT409 session_of_another_worker.
declare
    v_ids uuid[];
    v_draining boolean;
    v_owner text;
    v_held uuid[];
    v_cancelled uuid[];
    v_is_marked boolean;
begin
    perform check_options(p_options, array[]::text[]);
    v_ids := beat_leases(p_leases);
    if p_session_id is null then
        perform refuse_field('session_id', 'Required');
    end if;
    select w.draining, s.worker_id into v_draining, v_owner
      from worker w left join worker_session s on s.session_id = p_session_id
     where w.worker_id = p_worker_id;
    if not found then
        perform refuse(404, 'worker_not_found', 'Worker not found',
            jsonb_build_object('worker_id', left(p_worker_id, 200)));
    end if;
    if v_owner is distinct from p_worker_id then
        perform session_touch(p_session_id, p_worker_id);
    end if;
    update worker_session set beat_at = clock_timestamp() where session_id = p_session_id;
    -- What beat_marks would change, and what the answer needs, in one look at the leases. After
    -- marking it looks again: what is marked as delivered has to be in the answer.
    for v_look in 1 .. 2 loop
        select array_agg(lease_id),
               array_agg(lease_id) filter (where cancel_requested_at is not null),
               bool_or(cancel_requested_at is not null and cancel_delivered_at is null
                   or (unlisted_at is null) <> (lease_id = any (v_ids)))
          into v_held, v_cancelled, v_is_marked
          from lease where worker_id = p_worker_id and session_id = p_session_id;
        exit when v_look = 2 or v_is_marked is not true;
        perform beat_marks(p_worker_id, p_session_id, v_ids);
    end loop;
    perform progress_store(p_leases, p_worker_id, p_session_id);
    return jsonb_build_object('drain', v_draining, 'leases', coalesce((
        select jsonb_agg(jsonb_build_object('lease_id', i.id, 'state',
                   case when i.id = any (v_cancelled) then 'cancel'
                        when i.id = any (v_held) then 'ok'
                        else 'lost' end) order by i.n)
          from unnest(v_ids) with ordinality i(id, n)), '[]'));
end
$$;
comment on function bloom.worker_beat(text, uuid, jsonb, jsonb) is
    'Renews all leases of a worker process at once.';
