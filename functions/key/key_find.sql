create or replace function bloom.key_find(p_hash bytea)
returns table (key_id uuid, name text, scopes text[], expires_in_ms bigint)
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- The key with this SHA-256, if it is neither revoked nor expired.
select k.key_id, k.name, k.scopes,
    (date_part('epoch', k.expires_at - clock_timestamp()) * 1000)::bigint
  from api_key k
 where k.hash = p_hash and k.revoked_at is null
   and (k.expires_at is null or k.expires_at > clock_timestamp())
$$;
comment on function bloom.key_find(bytea) is 'The valid key with this digest.';
