create or replace function bloom.key_note_use(p_keys uuid[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Notes that requests came with these keys (up to 10,000) just now. For the service, which calls it
-- now and then: whether a key is valid is asked without writing anything. Keys that are being
-- changed are left out. Writes: api_key. Raises RT400.
begin
    perform check_range('keys', coalesce(cardinality(p_keys), 0), 1, 10000);
    update api_key k set last_used_at = now()
      from (select key_id from api_key where key_id = any (p_keys)
             order by key_id for no key update skip locked) u
     where k.key_id = u.key_id;
end
$$;
comment on function bloom.key_note_use(uuid[]) is 'Notes when keys were last used.';
