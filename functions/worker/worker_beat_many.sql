create or replace function bloom.worker_beat_many(
    p_workers text[], p_sessions uuid[], p_leases jsonb
) returns table (ordinal integer, error jsonb, answer jsonb)
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
-- Up to 1000 beats at once, each as worker_beat does and each with an answer of its own: what is
-- refused has error {code, message, status, …}.
--   p_workers, p_sessions, p_leases  arrays of the same length: for each beat its worker, its
--       process, and the array of its leases
-- Lock order: worker, where a session is new, then as worker_beat, sessions in order. Writes: as
-- worker_beat. Raises RT400 for arrays that do not fit together.
declare
    v_dims text := '[1:' || cardinality(p_workers) || ']';
    v_beat record;
begin
    perform check_range('workers', coalesce(cardinality(p_workers), 0), 1, 1000);
    if array_dims(p_workers) <> v_dims
        or p_leases is null or jsonb_typeof(p_leases) <> 'array'
        or array_dims(p_sessions) is distinct from v_dims
        or jsonb_array_length(p_leases) <> cardinality(p_workers)
    then
        perform refuse_field('workers', 'Expected arrays of the same length, counted from 1');
    end if;
    -- Making a session locks its worker: done before any session is locked, as a removal does it.
    perform from worker w
      where w.worker_id = any (array(select x.w from unnest(p_workers, p_sessions) x(w, s)
            where not exists (select from worker_session k where k.session_id = x.s)))
      order by w.worker_id for key share;
    for v_beat in
        select n::integer as n, w, s from unnest(p_workers, p_sessions) with ordinality x(w, s, n)
         order by s, n
    loop
        return query select v_beat.n, b.error, b.answer
           from beat_try(v_beat.w, v_beat.s, p_leases -> (v_beat.n - 1)) b;
    end loop;
end
$$;
comment on function bloom.worker_beat_many(text[], uuid[], jsonb) is
    'Renews all leases of many worker processes.';
