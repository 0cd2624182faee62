create or replace function bloom_private.actor(p_options jsonb) returns text
language plpgsql stable as $$
-- Who asks for a transition. The service speaks for its callers and names them (option actor, for
-- members of bloom_admin only); everybody else is written down as the role they logged in with.
begin
    if not p_options ? 'actor' then
        return 'sql:' || session_user;
    end if;
    if not pg_has_role(session_user, 'bloom_admin', 'member') then
        perform bloom_private.refuse(403, 'actor_not_allowed',
            'Only members of bloom_admin may act in another name');
    end if;
    return coalesce(bloom_private.option_text(p_options, 'actor', null, 200), 'unknown');
end
$$;
comment on function bloom_private.actor(jsonb) is 'The name that the audit trail gives the caller.';
