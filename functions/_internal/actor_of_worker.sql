create or replace function bloom_private.actor_of_worker(p_worker_id text) returns text
language plpgsql stable as $$
-- Who reports for a worker: the worker, where the service passes its report on; else the role that
-- is logged in, since it could give any worker's name.
begin
    return case when pg_has_role(session_user, 'bloom_admin', 'member') then p_worker_id
                else 'sql:' || session_user end;
end
$$;
comment on function bloom_private.actor_of_worker(text) is
    'The name that the audit trail gives who reports for a worker.';
