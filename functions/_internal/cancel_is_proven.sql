create or replace function bloom_private.cancel_is_proven(
    l bloom_private.lease, p_detail jsonb
) returns boolean
language sql immutable as $$
-- Whether a cancel was asked for, and its worker says that no process of the task is left (see
-- stopped_read).
select l.cancel_requested_at is not null
    and coalesce((p_detail #> '{stopped,tree_gone}')::boolean, false)
$$;
comment on function bloom_private.cancel_is_proven(bloom_private.lease, jsonb) is
    'Whether a cancelled lease''s processes are known to have ended.';
