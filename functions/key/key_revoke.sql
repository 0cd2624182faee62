create or replace function bloom.key_revoke(p_key_id uuid, p_options jsonb default '{}')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Ends a key for good. Revoking it again changes nothing.
--   p_options  actor
-- Writes: api_key, event. Raises RT400, RT404 key_not_found.
declare
    v_actor text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    update api_key set revoked_at = now() where key_id = p_key_id and revoked_at is null;
    if found then
        perform event_note('key_revoked', 'key/' || p_key_id, v_actor);
        return;
    end if;
    perform from api_key where key_id = p_key_id;
    if not found then
        perform refuse(404, 'key_not_found', 'Key not found');
    end if;
end
$$;
comment on function bloom.key_revoke(uuid, jsonb) is 'Ends an API key.';
