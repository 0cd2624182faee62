-- Rights on verbs and views; nothing for PUBLIC, nobody but the owner on bloom_private. A verb
-- that is in no list below is for bloom_admin alone.

revoke all on all functions in schema bloom, bloom_private from public;

grant execute on function
    bloom.task_submit(text, text, text, jsonb), bloom.task_submit_many(jsonb, jsonb),
    bloom.task_cancel(uuid, jsonb), bloom.task_cancel_many(uuid[], jsonb),
    bloom.task_requeue(uuid, jsonb), bloom.task_requeue_many(uuid[], jsonb),
    bloom.task_prioritize(uuid, integer, jsonb), bloom.task_get(uuid),
    bloom.task_get_many(uuid[]), bloom.task_result(uuid), bloom.task_explain(uuid)
to bloom_producer;

grant execute on function
    bloom.worker_register(text, jsonb), bloom.worker_beat(text, uuid, jsonb, jsonb),
    bloom.worker_leave(text, uuid),
    bloom.lease_next(text, uuid, integer, integer, jsonb), 
    bloom.lease_next_many(text[], uuid[], integer[], integer[], uuid[], jsonb),
    bloom.lease_start(uuid, uuid, jsonb), bloom.lease_heartbeat(uuid, uuid, jsonb),
    bloom.lease_heartbeat_many(uuid[], uuid[], integer[], text[], jsonb),
    bloom.worker_beat_many(text[], uuid[], jsonb),
    bloom.lease_extend(uuid, uuid, integer, jsonb),
    bloom.lease_complete(uuid, uuid, text, text, jsonb),
    bloom.lease_complete_many(uuid[], uuid[], text[], text[], jsonb),
    bloom.lease_release(uuid, uuid, jsonb),
    bloom.task_log_append(uuid, uuid, bigint, text, jsonb)
to bloom_worker;

grant execute on function
    bloom.task_get(uuid), bloom.task_get_many(uuid[]), bloom.task_list(text, integer, uuid, jsonb),
    bloom.task_reach(text, uuid), bloom.task_result(uuid),
    bloom.task_attempts(uuid), bloom.task_log_read(uuid, integer, bigint, integer),
    bloom.task_events(uuid, integer), bloom.task_explain(uuid),
    bloom.lease_list(text, integer, uuid), bloom.lease_overdue(integer),
    bloom.worker_get(text), bloom.worker_list(), bloom.queue_list(), bloom.credential_list(),
    bloom.artifact_get(uuid), bloom.artifact_list(uuid, integer, uuid),
    bloom.audit_list(integer, xid8, bigint, jsonb), bloom.audit_reach(xid8, bigint, jsonb),
    bloom.audit_read(xid8, bigint, integer), bloom.audit_end(), bloom.audit_verify(uuid, integer),
    bloom.audit_seals(bigint, integer), bloom.audit_sealed(bigint),
    bloom.overview_get(text), bloom.stats(), bloom.measures()
to bloom_reader;

grant select on bloom.llm_tasks, bloom.leases, bloom.workers, bloom.runtime_artifacts,
    bloom.llm_results, bloom.audit_logs, bloom.runtime_settings
to bloom_reader;

grant execute on all functions in schema bloom to bloom_admin;
grant select on all tables in schema bloom to bloom_admin;
