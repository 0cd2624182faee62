-- Contents and load order. Every file may be applied again while the service runs.

-- Group: Checks and errors
\ir _internal/refuse.sql
\ir _internal/refuse_field.sql
\ir _internal/check_range.sql
\ir _internal/check_text.sql
\ir _internal/check_options.sql
\ir _internal/option_integer.sql
\ir _internal/option_text.sql
\ir _internal/option_boolean.sql
\ir _internal/option_texts.sql
\ir _internal/option_uuid.sql
\ir _internal/option_time.sql
\ir _internal/actor.sql
\ir _internal/actor_of_worker.sql

-- Group: Ids and times
\ir _internal/now_us.sql
\ir _internal/uuid_v7_at.sql
\ir _internal/uuid_v7.sql
\ir _internal/uuid_floor.sql
\ir _internal/uuid_span.sql
\ir _internal/time_ms.sql
\ir _internal/time_text.sql

-- Group: The event log
\ir _internal/ready_announce.sql
\ir _internal/event_record.sql
\ir _internal/event_text.sql
\ir _internal/event_note.sql
\ir _internal/event_window.sql
\ir _internal/event_trail.sql
\ir _internal/event_matches.sql
\ir _internal/edge_is_legal.sql
\ir _internal/forbid.sql
\ir _internal/triggers.sql
\ir _internal/event_groups.sql
\ir _internal/groups_deltas.sql
\ir _internal/status_deltas.sql
\ir _internal/status_counts.sql
\ir _internal/event_deltas.sql
\ir _internal/wait_bucket.sql
\ir _internal/wait_quantile.sql
\ir _internal/waits_counted.sql
\ir _internal/waits_sum.sql
\ir _internal/minutes_fold.sql

-- Group: Moving tasks
\ir _internal/lane_of.sql
\ir _internal/task_of.sql
\ir _internal/task_place.sql
\ir _internal/task_missing.sql
\ir _internal/trace_check.sql
\ir _internal/policy_read.sql
\ir _internal/submission_read.sql
\ir _internal/submission_try.sql
\ir _internal/submissions_read.sql
\ir _internal/submission_digest.sql
\ir _internal/context_acquire.sql
\ir _internal/context_pass_on.sql
\ir _internal/idempotency_settle.sql
\ir _internal/submissions_enqueue.sql
\ir _internal/submissions_accept.sql
\ir _internal/waiting_end.sql
\ir _internal/waiting_prioritize.sql
\ir _internal/ids_in_order.sql
\ir _internal/task_stop.sql
\ir _internal/task_restart.sql

-- Group: Leases
\ir _internal/lease_expiry.sql
\ir _internal/lease_end.sql
\ir _internal/cancel_is_proven.sql
\ir _internal/lease_shown.sql
\ir _internal/lease_named.sql
\ir _internal/lease_current.sql
\ir _internal/lease_refuse.sql
\ir _internal/conversation_shown.sql
\ir _internal/conversation_store.sql
\ir _internal/lease_grants.sql
\ir _internal/lease_take.sql
\ir _internal/queue_room.sql
\ir _internal/lanes_open.sql
\ir _internal/credential_of.sql
\ir _internal/credential_until.sql
\ir _internal/credential_exhaust.sql
\ir _internal/limit_read.sql
\ir _internal/worker_is_live.sql
\ir _internal/session_touch.sql
\ir _internal/replay_keep.sql
\ir _internal/lease_request_read.sql
\ir _internal/lease_request_error.sql
\ir _internal/lease_request_queues.sql
\ir _internal/lease_request_refusal.sql
\ir _internal/lease_requests_admit.sql
\ir _internal/leases_requested.sql
\ir _internal/claim_rooms.sql
\ir _internal/lane_heads.sql
\ir _internal/claim_wants.sql
\ir _internal/claim_take.sql
\ir _internal/claim_twins.sql
\ir _internal/claim_own.sql
\ir _internal/claim_lane.sql
\ir _internal/claim_group.sql
\ir _internal/leases_serve.sql
\ir _internal/worker_reserve.sql
\ir _internal/ready_refuse.sql
\ir _internal/slots_free.sql
\ir _internal/attempts_record.sql
\ir _internal/lease_fate.sql
\ir _internal/leases_return.sql
\ir _internal/backoff.sql
\ir _internal/metrics_read.sql
\ir _internal/conversation_read.sql
\ir _internal/stopped_read.sql
\ir _internal/completion_digest.sql
\ir _internal/stored_read.sql
\ir _internal/stored_digest.sql
\ir _internal/completion_read.sql
\ir _internal/completion_replay.sql
\ir _internal/completion_try.sql
\ir _internal/completions_read.sql
\ir _internal/replay_try.sql
\ir _internal/completions_put_off.sql
\ir _internal/conversations_store.sql
\ir _internal/completion_detail.sql
\ir _internal/completions_end.sql

-- Group: Workers
\ir _internal/worker_rows.sql
\ir _internal/worker_options_check.sql
\ir _internal/beat_leases.sql
\ir _internal/beat_marks.sql
\ir _internal/usage_read.sql
\ir _internal/progress_store.sql

-- Group: Reading
\ir _internal/task_rows.sql
\ir _internal/task_ids.sql
\ir _internal/task_page.sql
\ir _internal/task_heads.sql
\ir _internal/trail_faults.sql
\ir _internal/audit_options.sql
\ir _internal/leases_shown.sql
\ir _internal/explain_deferred.sql
\ir _internal/explain_parked.sql
\ir _internal/explain_lease.sql
\ir _internal/explain_finished.sql
\ir _internal/explain_used_up.sql
\ir _internal/explain_next.sql
\ir _internal/explain_ready.sql
\ir _internal/overview_points.sql

-- Group: Partitions
\ir _internal/partition_make.sql
\ir _internal/partition_weeks.sql
\ir _internal/tasks_unfinished.sql
\ir _internal/retention_default_tasks.sql
\ir _internal/retention_tasks.sql
\ir _internal/retention_events.sql
\ir _internal/retention_artifacts.sql
\ir _internal/retention_conversations.sql
\ir _internal/retention_deliveries.sql

-- Group: Verbs: submitting and steering tasks
\ir task/task_submit_many.sql
\ir task/task_submit.sql
\ir task/task_cancel.sql
\ir task/task_cancel_many.sql
\ir task/task_requeue.sql
\ir task/task_requeue_many.sql
\ir task/task_requeue_dead.sql
\ir task/task_prioritize.sql
\ir task/task_promote.sql

-- Group: Verbs: leases
\ir lease/lease_next.sql
\ir lease/lease_next_many.sql
\ir lease/lease_task.sql
\ir lease/lease_heartbeat.sql
\ir _internal/heartbeat_try.sql
\ir lease/lease_heartbeat_many.sql
\ir lease/lease_start.sql
\ir lease/lease_extend.sql
\ir lease/lease_check.sql
\ir lease/lease_complete.sql
\ir lease/lease_complete_many.sql
\ir lease/lease_complete_stored.sql
\ir lease/lease_release.sql
\ir lease/lease_overdue.sql
\ir lease/lease_expire.sql

-- Group: Verbs: workers
\ir worker/worker_register.sql
\ir worker/worker_update.sql
\ir worker/worker_remove.sql
\ir worker/worker_beat.sql
\ir worker/worker_leave.sql
\ir _internal/beat_try.sql
\ir worker/worker_beat_many.sql
\ir worker/worker_sweep.sql
\ir _internal/worker_listed.sql
\ir worker/worker_sync.sql
\ir worker/worker_get.sql
\ir worker/worker_list.sql

-- Group: Verbs: credentials
\ir credential/credential_list.sql
\ir credential/credential_clear.sql

-- Group: Verbs: queues
\ir queue/queue_list.sql
\ir queue/queue_configure.sql
\ir queue/queue_pause.sql
\ir queue/queue_resume.sql

-- Group: Verbs: reading
\ir task/task_get.sql
\ir task/task_get_many.sql
\ir task/task_log_append.sql
\ir task/task_log_read.sql
\ir task/task_list.sql
\ir task/task_reach.sql
\ir task/task_result.sql
\ir task/task_attempts.sql
\ir task/task_events.sql
\ir task/task_explain.sql
\ir lease/lease_list.sql
\ir artifact/artifact_get.sql
\ir artifact/artifact_list.sql
\ir artifact/artifact_place.sql
\ir artifact/artifact_sweep.sql
\ir audit/audit_list.sql
\ir audit/audit_reach.sql
\ir audit/audit_verify.sql
\ir audit/audit_unsealed.sql
\ir audit/audit_seal.sql
\ir audit/audit_seals.sql
\ir audit/audit_sealed.sql
\ir audit/audit_note.sql
\ir audit/audit_read.sql
\ir audit/audit_end.sql
\ir audit/stats.sql
\ir audit/measures.sql

-- Group: Verbs: settings and keys
\ir setting/setting_get.sql
\ir setting/setting_set.sql
\ir key/key_create.sql
\ir key/key_find.sql
\ir key/key_note_use.sql
\ir key/key_list.sql
\ir key/key_revoke.sql

-- Group: Verbs: webhooks
\ir _internal/webhook_missing.sql
\ir _internal/webhook_store.sql
\ir _internal/webhook_rows.sql
\ir _internal/webhook_owned.sql
\ir webhook/webhook_create.sql
\ir webhook/webhook_configure.sql
\ir webhook/webhook_list.sql
\ir webhook/webhook_get.sql
\ir webhook/webhook_find.sql
\ir webhook/webhook_remove.sql
\ir webhook/webhook_next.sql
\ir webhook/webhook_submit.sql
\ir webhook/webhook_complete.sql
\ir webhook/webhook_release.sql
\ir delivery/delivery_list.sql
\ir delivery/delivery_get.sql
\ir delivery/delivery_requeue.sql

-- Group: Verbs: overview
\ir _internal/overview_warnings.sql
\ir overview/overview_get.sql

-- Group: Verbs: maintenance
\ir maintenance/status_fold.sql
\ir maintenance/lane_advance.sql
\ir maintenance/waiting_mark.sql
\ir maintenance/waiting_wake.sql
\ir maintenance/lane_ready.sql
\ir maintenance/partition_ensure.sql
\ir maintenance/retention_run.sql

-- Group: Views and rights
\ir views/read_views.sql
\ir grants.sql
\ir partitions.sql
