create or replace function bloom.setting_get(p_key text)
returns table (value jsonb, updated_at timestamptz)
language sql stable security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- One setting; no row where it was never set.
select s.value, s.updated_at from setting s where s.key = p_key
$$;
comment on function bloom.setting_get(text) is 'One setting.';
