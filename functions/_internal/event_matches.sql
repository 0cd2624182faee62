create or replace function bloom_private.event_matches(e bloom_private.event, p_options jsonb)
returns boolean
language sql immutable as $$
-- Whether an event is of the kind, by the actor, of the causes and of the lease that audit_list was
-- asked for.
select case when p_options ->> 'kind' is null then true
            when p_options ->> 'kind' = 'lease' then e.task_id is not null and e.cause = 'leased'
            when p_options ->> 'kind' = 'task' then e.task_id is not null and e.cause <> 'leased'
            else e.task_id is null and split_part(e.subject, '/', 1) = p_options ->> 'kind' end
   and (p_options ->> 'actor' is null or e.actor = p_options ->> 'actor')
   and (p_options ->> 'lease_id' is null or e.lease_id = (p_options ->> 'lease_id')::uuid)
   and coalesce(jsonb_typeof(p_options -> 'causes') <> 'array'
        or p_options -> 'causes' ? e.cause, true)
$$;
comment on function bloom_private.event_matches(bloom_private.event, jsonb) is
    'Whether an event is one that audit_list was asked for.';
