create or replace function bloom.setting_set(
    p_key text, p_value jsonb, p_options jsonb default '{}'
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Stores a setting (key 1–128 characters, value at most 64 KiB; null removes it). The audit row
-- names the key, never the value.
--   p_options  audit ("setting_changed": the action in the audit trail), subject ("setting/KEY":
--              what it was done to), actor
-- Writes: setting, event. Raises RT400.
declare
    v_actor text;
begin
    perform check_options(p_options, array['audit', 'subject', 'actor']);
    perform check_text('key', p_key, 1, 128);
    v_actor := actor(p_options);
    if p_value is null or p_value = 'null' then
        delete from setting where key = p_key;
    else
        perform check_range('value', octet_length(p_value::text), 0, 65536);
        insert into setting (key, value, updated_by) values (p_key, p_value, v_actor)
        on conflict (key) do update
           set value = excluded.value, updated_by = excluded.updated_by, updated_at = now();
    end if;
    perform event_note(option_text(p_options, 'audit', 'setting_changed', 64),
        option_text(p_options, 'subject', 'setting/' || p_key, 200), v_actor);
end
$$;
comment on function bloom.setting_set(text, jsonb, jsonb) is 'Stores a setting.';
