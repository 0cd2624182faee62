create or replace function bloom.waiting_mark(p_service_id uuid, p_seconds integer) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- A service process says that somebody in it waits for work, for the next p_seconds (0: no more).
-- Submissions through SQL notify while at least one process waits. Writes: waiting. Raises RT400.
begin
    perform check_range('seconds', p_seconds, 0, 3600);
    if p_service_id is null then
        perform refuse_field('service_id', 'Required');
    end if;
    delete from waiting where until < clock_timestamp() - interval '1 hour'
        or p_seconds = 0 and service_id = p_service_id;
    if p_seconds > 0 then
        insert into waiting (service_id, until)
        values (p_service_id, clock_timestamp() + make_interval(secs => p_seconds))
        on conflict (service_id) do update set until = excluded.until;
    end if;
end
$$;
comment on function bloom.waiting_mark(uuid, integer) is
    'Says that a service process waits for work.';
