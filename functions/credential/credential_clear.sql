create or replace function bloom.credential_clear(p_name text, p_options jsonb default '{}')
returns void
language plpgsql volatile security definer
set search_path = pg_catalog, bloom_private, pg_temp as $$
-- Forgets that a credential is exhausted: its workers get work again at once.
--   p_options  actor
-- Lock order: credential. Writes: credential, event. Raises RT400, RT404 credential_not_found.
declare
    v_actor text;
begin
    perform check_options(p_options, array['actor']);
    v_actor := actor(p_options);
    delete from credential where name = p_name and exhausted_until > clock_timestamp();
    if not found then
        perform refuse(404, 'credential_not_found', 'No such credential is exhausted',
            jsonb_build_object('credential', left(p_name, 200)));
    end if;
    perform event_note('credential_cleared', 'credential/' || p_name, v_actor);
    perform ready_announce(null, null, 1);
end
$$;
comment on function bloom.credential_clear(text, jsonb) is
    'Forgets that a credential is exhausted.';
