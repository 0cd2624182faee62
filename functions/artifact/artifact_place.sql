create or replace function bloom.artifact_place() returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- The name of this database in object storage: its objects stand below it, so that two databases
-- which share a bucket do not take each other's for rubbish. Made at the first call. Writes:
-- setting.
declare
    v_place uuid;
begin
    select (s.value #>> '{}')::uuid into v_place from setting s where s.key = 'artifact_place';
    if not found then
        insert into setting (key, value, updated_by)
        values ('artifact_place', to_jsonb(uuid_v7()), 'system')
        on conflict (key) do update set key = excluded.key
        returning (value #>> '{}')::uuid into v_place;
    end if;
    return v_place;
end
$$;
comment on function bloom.artifact_place() is 'The name of this database in object storage.';
