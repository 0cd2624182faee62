create or replace function bloom_private.audit_options(p_options jsonb) returns jsonb
language plpgsql immutable as $$
-- Checks the options of audit_list and audit_reach and adds subjects_only: whether what is asked
-- for concerns no task, so that the few such events need not be looked for among all. Raises RT400.
declare
    v_kind text;
begin
    perform check_options(p_options, array['task_id', 'subject', 'kind', 'actor', 'causes',
        'lease_id']);
    perform option_uuid(p_options, 'task_id'), option_uuid(p_options, 'lease_id'),
        option_text(p_options, 'subject', null, 300), option_text(p_options, 'actor', null, 200),
        option_texts(p_options, 'causes', null, 50, 64);
    v_kind := option_text(p_options, 'kind', null, 64);
    return p_options || jsonb_build_object('subjects_only',
        coalesce(v_kind not in ('task', 'lease'), false));
end
$$;
comment on function bloom_private.audit_options(jsonb) is 'Checks the options of audit_list.';
