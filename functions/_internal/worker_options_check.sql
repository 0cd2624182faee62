create or replace function bloom_private.worker_options_check(p_options jsonb) returns void
language plpgsql immutable as $$
-- Refuses unknown options of worker_register, a status that is none and a credential without name.
declare
    v_status text;
begin
    perform check_options(p_options, array['url', 'status', 'claude_cli', 'max_concurrency',
        'labels', 'ip_addrs', 'agent_version', 'os_info', 'install_method', 'credential',
        'actor']);
    v_status := option_text(p_options, 'status', 'online', 100);
    if v_status not in ('online', 'offline', 'syncing', 'error', 'unknown') then
        perform refuse_field('status', format('Invalid enum value. Expected ''online'' | '
            '''offline'' | ''syncing'' | ''error'' | ''unknown'', received ''%s''', v_status));
    end if;
    if p_options -> 'credential' <> 'null' then
        perform check_text('credential', option_text(p_options, 'credential', null, 128), 1, 128);
    end if;
end
$$;
comment on function bloom_private.worker_options_check(jsonb) is
    'Checks the options of worker_register.';
