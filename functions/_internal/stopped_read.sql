create or replace function bloom_private.stopped_read(p_stopped jsonb) returns jsonb
language plpgsql immutable as $$
-- Checks what a worker says of the end of a process tree: whether it saw that none of it was left
-- (tree_gone), the strongest signal that it took, and to how many processes. Null if absent.
declare
    v_gone boolean;
    v_signal text;
    v_processes integer;
begin
    if p_stopped is null or p_stopped = 'null' then
        return null;
    end if;
    if jsonb_typeof(p_stopped) <> 'object' then
        perform bloom_private.refuse_field('stopped', 'Expected object, received '
            || jsonb_typeof(p_stopped));
    end if;
    perform bloom_private.check_options(p_stopped, array['tree_gone', 'signal', 'processes']);
    v_gone := bloom_private.option_boolean(p_stopped, 'tree_gone', null);
    v_signal := bloom_private.option_text(p_stopped, 'signal', null, 20);
    v_processes := bloom_private.option_integer(p_stopped, 'processes', null, 0, 2147483647);
    if v_gone is null or v_processes is null then
        perform bloom_private.refuse_field(
            case when v_gone is null then 'tree_gone' else 'processes' end, 'Required');
    end if;
    if v_signal is null or v_signal not in ('none', 'SIGTERM', 'SIGKILL') then
        perform bloom_private.refuse_field('signal', format('Invalid enum value. Expected '
            '''none'' | ''SIGTERM'' | ''SIGKILL'', received ''%s''', v_signal));
    end if;
    return jsonb_build_object('tree_gone', v_gone, 'signal', v_signal, 'processes', v_processes);
end
$$;
comment on function bloom_private.stopped_read(jsonb) is
    'Checks what a worker says of the end of a process tree.';
