//! Verbs that read, and verbs of administrators and of the service itself.

use super::{
    Arg, HASH, LANES, MANY, MANY_TEXTS, Opt, SCOPES, Verb, arg, bare_options, limit, options, task,
    verb,
};

/// What narrows the audit trail.
const EVENTS: &[(&str, Opt)] = &[
    ("task_id", Opt::Uuid),
    ("subject", Opt::Text(300)),
    ("kind", Opt::Text(64)),
    ("actor", Opt::Text(200)),
    ("causes", Opt::Texts(50, 64)),
    ("lease_id", Opt::Uuid),
];

/// A seal as far as its form goes.
const SEAL: &str = "jsonb_build_object('id', 1, 'at', 1, 'from', jsonb_build_array('0', 0),
    'to', jsonb_build_array('1', 1), 'leaves', repeat('a', 64), 'root', repeat('a', 64),
    'prior', repeat('0', 64), 'public_key', repeat('a', 64), 'signature', repeat('a', 128))";

/// What is none.
const NO_SEALS: Arg = Arg::Some(&["null", "'{}'", "'[]'", "'1'", "'{\"id\": \"x\"}'"]);

pub(super) fn readers() -> Vec<Verb> {
    let before = || arg("before", "null", Arg::Maybe);
    vec![
        verb("task_get", vec![task()]),
        verb("credential_list", vec![]),
        verb(
            "task_log_read",
            vec![
                task(),
                arg("after_fence", "0", Arg::Some(&["null"])),
                arg("after_position", "-1", Arg::Some(&["null"])),
                limit(1000),
            ],
        ),
        verb(
            "task_get_many",
            vec![arg("task_ids", "'{}'", Arg::Some(&["null"]))],
        ),
        verb(
            "task_list",
            vec![
                arg("status", "null", Arg::Maybe),
                limit(1000),
                before(),
                bare_options(&[
                    ("context_id", Opt::Text(512)),
                    ("queue", Opt::Text(128)),
                    ("agent_slug", Opt::Text(255)),
                    ("worker_id", Opt::Text(128)),
                    ("label", Opt::Text(128)),
                    ("text", Opt::Text(200)),
                ]),
            ],
        ),
        verb(
            "task_reach",
            vec![arg("status", "null", Arg::Maybe), before()],
        ),
        verb("task_result", vec![arg("task_id", "'%D'", Arg::Id)]),
        verb("task_attempts", vec![task()]),
        verb("task_events", vec![task(), arg("after", "0", Arg::Maybe)]),
        verb("task_explain", vec![task()]),
        verb(
            "lease_list",
            vec![arg("status", "null", Arg::Maybe), limit(1000), before()],
        ),
        verb("artifact_get", vec![arg("artifact_id", "'%A'", Arg::Id)]),
        verb(
            "artifact_list",
            vec![arg("task_id", "null", Arg::Maybe), limit(1000), before()],
        ),
        verb(
            "audit_list",
            vec![
                limit(1000),
                arg("before_xid", "null", Arg::Maybe),
                arg("before_seq", "null", Arg::Maybe),
                bare_options(EVENTS),
            ],
        ),
        verb(
            "audit_reach",
            vec![
                arg("before_xid", "null", Arg::Maybe),
                arg("before_seq", "null", Arg::Maybe),
                bare_options(EVENTS),
            ],
        ),
        verb(
            "audit_verify",
            vec![arg("after", "null", Arg::Maybe), limit(10000)],
        ),
        verb(
            "audit_read",
            vec![
                arg("after_xid", "'0'", Arg::Some(&["null"])),
                arg("after_seq", "0", Arg::Some(&["null"])),
                limit(10000),
            ],
        ),
        verb("audit_end", vec![]),
        verb(
            "audit_seals",
            vec![arg("after", "null", Arg::Maybe), limit(1000)],
        ),
        verb("audit_sealed", vec![arg("seal_id", "1", Arg::Maybe)]),
        verb(
            "overview_get",
            vec![arg("window", "'hour'", Arg::Some(&["null", "''", "'x'"]))],
        ),
        verb("stats", vec![]),
        verb("measures", vec![]),
    ]
}

const KEYS: &str = "array['%K'::uuid]";
const NO_KEYS: Arg = Arg::Some(&["null", "'{}'", "array_fill('%K'::uuid, array[10001])"]);

pub(super) fn keepers() -> Vec<Verb> {
    let days = |name| arg(name, "30", Arg::Int(1, 3650));
    vec![
        verb("audit_unsealed", vec![limit(10000)]),
        verb("audit_seal", vec![arg("seal", SEAL, NO_SEALS)]),
        verb("setting_get", vec![arg("key", "'k'", Arg::Maybe)]),
        verb(
            "audit_note",
            vec![
                arg("action", "'done'", Arg::Name(64)),
                arg(
                    "subject",
                    "'thing/1'",
                    Arg::Some(&["null", "''", "'x/'", "'thing'", "'/x'"]),
                ),
                arg("detail", "'{}'", Arg::Some(&["'3'", "'[]'"])),
                options(&[]),
            ],
        ),
        verb(
            "credential_clear",
            vec![
                arg("name", "'limited'", Arg::Some(&["null", "''", "'unknown'"])),
                options(&[]),
            ],
        ),
        verb(
            "worker_sync",
            vec![
                arg("agents", "'[]'", Arg::Some(&["null", "'{}'", "'3'"])),
                options(&[("silent_seconds", Opt::Int(1, 86_400)), ("more", Opt::Bool)]),
            ],
        ),
        verb(
            "setting_set",
            vec![
                arg("key", "'k'", Arg::Name(128)),
                arg("value", "'1'", Arg::Some(&["to_jsonb(repeat('x', 65536))"])),
                options(&[("audit", Opt::Text(64)), ("subject", Opt::Text(200))]),
            ],
        ),
        verb(
            "key_create",
            vec![
                arg("name", "'n'", Arg::Name(128)),
                arg("prefix", "'p'", Arg::Name(16)),
                arg("hash", "sha256('y')", Arg::Some(HASH)),
                arg("scopes", "'{reader}'", Arg::Some(SCOPES)),
                options(&[("expires_at", Opt::Time)]),
            ],
        ),
        verb("key_find", vec![arg("hash", "sha256('x')", Arg::Maybe)]),
        verb("key_note_use", vec![arg("keys", KEYS, NO_KEYS)]),
        verb("key_list", vec![]),
        verb(
            "key_revoke",
            vec![arg("key_id", "'%K'", Arg::Id), options(&[])],
        ),
        verb("status_fold", vec![]),
        verb("artifact_place", vec![]),
        verb(
            "artifact_sweep",
            vec![
                arg("tasks", "array['%T'::uuid]", Arg::Some(MANY)),
                arg("leases", "array['%L'::uuid]", Arg::Some(MANY)),
                arg("urls", "array['s3://b/x']", Arg::Some(MANY_TEXTS)),
            ],
        ),
        verb(
            "lane_advance",
            vec![arg("stride", "1", Arg::Int(0, 1_000_000))],
        ),
        verb(
            "waiting_mark",
            vec![
                arg("service_id", "gen_random_uuid()", Arg::Some(&["null"])),
                arg("seconds", "1", Arg::Int(0, 3600)),
            ],
        ),
        verb(
            "waiting_wake",
            vec![
                arg("lanes", "'[]'", Arg::Some(LANES)),
                arg("service_id", "null", Arg::Maybe),
            ],
        ),
        verb("lane_ready", vec![]),
        verb("partition_ensure", vec![arg("weeks", "1", Arg::Int(0, 52))]),
        verb(
            "retention_run",
            vec![
                days("finished_days"),
                days("event_days"),
                days("artifact_days"),
            ],
        ),
    ]
}
