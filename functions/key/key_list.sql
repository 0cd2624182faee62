create or replace function bloom.key_list()
returns table (key_id uuid, name text, prefix text, scopes text[], created_at timestamptz,
    created_by text, expires_at timestamptz, revoked_at timestamptz,
    last_used_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- All keys, newest first, without their digests. last_used_at is some seconds late.
select k.key_id, k.name, k.prefix, k.scopes, k.created_at, k.created_by, k.expires_at,
    k.revoked_at, k.last_used_at
  from api_key k order by k.key_id desc limit 10000
$$;
comment on function bloom.key_list() is 'All API keys.';
