create or replace function bloom_private.lease_named(p_lease_id uuid) returns void
language plpgsql stable as $$
-- Every caller names the lease that it speaks for; only the service may leave it out, for agents
-- of the first generation.
begin
    if p_lease_id is null and not pg_has_role(session_user, 'bloom_admin', 'member') then
        perform refuse_field('lease_id', 'Required');
    end if;
end
$$;
comment on function bloom_private.lease_named(uuid) is 'Refuses a missing lease id.';
