create or replace function bloom_private.lease_refuse(
    p_task_id uuid, p_lease_id uuid, p_verb text
) returns void
language plpgsql volatile as $$
-- Says why a call about a lease was not obeyed, in the words that clients know. Always raises.
--   p_lease_id  the lease that the caller named, or null (an old agent: the current lease)
--   p_verb      'heartbeat' or another verb; decides the wording
-- A named lease that is not current is counted in stale_refused.
declare
    v_status text;
begin
    select status into v_status from task_place(p_task_id);
    if v_status is null then
        if p_verb = 'heartbeat' then
            perform refuse(404, 'task_not_found', 'Task or lease not found',
                jsonb_build_object('task_id', p_task_id));
        end if;
        perform task_missing(p_task_id);
    elsif p_lease_id is not null then
        perform nextval('stale_refused');
        perform refuse(409, 'lease_lost', format('Lease %s is no longer current', p_lease_id),
            jsonb_build_object('task_id', p_task_id, 'lease_id', p_lease_id));
    elsif p_verb = 'heartbeat' then
        perform refuse(404, 'lease_not_found', 'Lease not found or already expired',
            jsonb_build_object('task_id', p_task_id));
    elsif v_status in ('leased', 'running') then
        perform nextval('stale_refused');
        perform refuse(409, 'lease_lost', 'The lease has already expired',
            jsonb_build_object('task_id', p_task_id));
    end if;
    perform refuse(409, 'wrong_status',
        format('Task status is ''%s'', expected ''leased'' or ''running''', v_status),
        jsonb_build_object('task_id', p_task_id, 'status', v_status));
end
$$;
comment on function bloom_private.lease_refuse(uuid, uuid, text) is
    'Raises why a call about a lease was not obeyed.';
