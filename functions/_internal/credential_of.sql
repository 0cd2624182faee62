create or replace function bloom_private.credential_of(w bloom_private.worker) returns text
language sql immutable as $$
-- The credential that a worker works with: the one that it named, or else one of its own.
select coalesce(w.credential, 'worker:' || w.worker_id)
$$;
comment on function bloom_private.credential_of(bloom_private.worker) is
    'The credential that a worker works with.';
