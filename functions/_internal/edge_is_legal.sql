create or replace function bloom_private.edge_is_legal(
    p_cause text, p_prior text, p_status text
) returns boolean
language sql immutable as $$
-- Whether the state machine (docs/state-machine.md) has a transition of this name between these
-- two statuses; p_prior is null for a submission.
select case p_cause
    when 'submitted' then p_prior is null and p_status = 'queued'
    when 'leased' then p_prior = 'queued' and p_status = 'leased'
    when 'running' then p_prior = 'leased' and p_status = 'running'
    when 'cancel_requested' then p_prior in ('leased', 'running') and p_status = p_prior
    when 'cancel_delivered' then p_prior in ('leased', 'running') and p_status = p_prior
    when 'completed' then p_prior in ('leased', 'running') and p_status = 'completed'
    when 'failed' then p_prior in ('leased', 'running') and p_status = 'failed'
    when 'dead' then p_prior in ('leased', 'running') and p_status = 'dead'
    when 'cancelled' then p_prior in ('queued', 'failed', 'leased', 'running')
        and p_status = 'cancelled'
    when 'expired' then p_prior in ('leased', 'running') and p_status = 'queued'
    when 'released' then p_prior in ('leased', 'running') and p_status = 'queued'
    when 'removed' then p_prior in ('leased', 'running') and p_status = 'queued'
    when 'due' then p_prior in ('queued', 'failed') and p_status = 'queued'
    when 'turn' then p_prior = 'queued' and p_status = 'queued'
    when 'prioritized' then p_prior = 'queued' and p_status = 'queued'
    when 'requeued' then p_prior in ('failed', 'dead', 'cancelled') and p_status = 'queued'
    else false end is true
$$;
comment on function bloom_private.edge_is_legal(text, text, text) is
    'Whether there is a transition of this name between two statuses.';
