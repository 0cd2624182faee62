create or replace function bloom.key_create(
    p_name text, p_prefix text, p_hash bytea, p_scopes text[], p_options jsonb default '{}'
) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Stores an API key by its SHA-256; the key itself never comes here. Returns its id.
--   p_prefix   the first characters of the key, by which people recognise it
--   p_scopes   of producer, worker, reader, admin
--   p_options  expires_at, actor
-- Writes: api_key, event. Raises RT400, RT409 key_exists.
declare
    v_actor text;
    v_id uuid := uuid_v7();
begin
    perform check_options(p_options, array['expires_at', 'actor']);
    v_actor := actor(p_options);
    perform check_text('name', p_name, 1, 128);
    perform check_text('prefix', p_prefix, 1, 16);
    if p_hash is null or octet_length(p_hash) <> 32 then
        perform refuse_field('hash', 'Must be a SHA-256 digest');
    end if;
    if p_scopes is null or cardinality(p_scopes) = 0
        or not p_scopes <@ array['producer', 'worker', 'reader', 'admin']
    then
        perform refuse_field('scopes', 'Must be some of producer, worker, reader, admin');
    end if;
    insert into api_key (key_id, name, prefix, hash, scopes, created_by, expires_at)
    values (v_id, p_name, p_prefix, p_hash, p_scopes, v_actor,
        option_time(p_options, 'expires_at'))
    on conflict (hash) do nothing;
    if not found then
        perform refuse(409, 'key_exists', 'The key exists already');
    end if;
    perform event_note('key_created', 'key/' || v_id, v_actor,
        jsonb_build_object('name', p_name, 'scopes', p_scopes));
    return v_id;
end
$$;
comment on function bloom.key_create(text, text, bytea, text[], jsonb) is
    'Stores an API key by its digest.';
