create or replace function bloom.worker_get(p_worker_id text) returns setof bloom.worker_row
language plpgsql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- One worker. Raises RT404 worker_not_found.
begin
    return query select * from worker_rows(p_worker_id) where p_worker_id is not null;
    if not found then
        perform refuse(404, 'worker_not_found', 'Worker not found',
            jsonb_build_object('worker_id', left(p_worker_id, 200)));
    end if;
end
$$;
comment on function bloom.worker_get(text) is 'One worker.';
