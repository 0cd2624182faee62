create or replace function bloom_private.submission_digest(s bloom_private.submission)
returns bytea
language sql immutable as $$
-- What makes two submissions with one idempotency key the same: all that the client said, and
-- neither what the queue made of it (serial; the policy has what was asked for) nor how the session
-- writes times. Nor which trace it belongs to: a request that is repeated is another one there.
select sha256(convert_to((to_jsonb(s)
    - array['idempotency_key', 'task_id', 'is_new', 'is_parked', 'error', 'serial', 'run_at']
    #- '{policy,traceparent}' #- '{policy,tracestate}'
    || jsonb_build_object('run_at', date_part('epoch', s.run_at)))::text, 'UTF8'))
$$;
comment on function bloom_private.submission_digest(bloom_private.submission) is
    'The digest that an idempotency key is bound to.';
