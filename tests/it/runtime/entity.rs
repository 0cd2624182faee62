//! The contract's entities: names, order and types of their members.

use serde_json::Value;
use uuid::Uuid;

/// Members in the order in which they are emitted. A `?` allows null; members that follow the
/// last one are ours.
pub type Shape = &'static [(&'static str, &'static str)];

pub const TASK: Shape = &[
    ("id", "uuid"),
    ("context_id", "text"),
    ("agent_slug", "text"),
    ("prompt", "text"),
    ("context_hints", "texts"),
    ("policy", "object"),
    ("desired_format", "text"),
    ("status", "text"),
    ("created_at", "ms"),
    ("updated_at", "ms"),
    ("lease_id", "uuid?"),
    ("worker_id", "text?"),
    ("attempts", "int"),
    ("max_attempts", "int"),
];

pub const POLICY: Shape = &[("timeout_sec", "int"), ("budget", "number")];

pub const LEASE: Shape = &[
    ("id", "uuid"),
    ("task_id", "uuid"),
    ("worker_id", "text"),
    ("started_at", "ms"),
    ("expires_at", "ms"),
    ("ttl_seconds", "int"),
    ("status", "text"),
    ("last_heartbeat", "ms"),
    ("context_id", "text?"),
];

pub const WORKER: Shape = &[
    ("id", "text"),
    ("node_id", "text"),
    ("url", "text"),
    ("status", "text"),
    ("capabilities", "object"),
    ("last_heartbeat", "ms?"),
    ("ip_addrs", "texts"),
    ("obs_count", "int"),
    ("db_sha", "text"),
    ("registered_at", "ms"),
    ("active_leases", "int"),
    ("agent_version", "text"),
    ("os_info", "text"),
    ("install_method", "text"),
];

pub const CAPABILITIES: Shape = &[
    ("claude_cli", "bool"),
    ("max_concurrency", "int"),
    ("labels", "texts"),
];

pub const ARTIFACT: Shape = &[
    ("id", "uuid"),
    ("task_id", "uuid"),
    ("job_id", "null"),
    ("type", "text"),
    ("created_at", "ms"),
    ("finalized", "bool"),
    ("url", "text?"),
    ("entity_refs", "texts"),
    ("tags", "texts"),
    ("content", "text?"),
];

pub const RESULT: Shape = &[
    ("id", "uuid"),
    ("task_id", "uuid"),
    ("worker_id", "text"),
    ("artifact_id", "uuid"),
    ("status", "text"),
    ("output", "text?"),
    ("error_message", "text?"),
    ("metrics", "object"),
    ("completed_at", "ms"),
];

pub const METRICS: Shape = &[("duration_ms", "int"), ("tokens_used", "int?")];

pub const AUDIT: Shape = &[
    ("id", "uuid"),
    ("timestamp", "ms"),
    ("action", "text"),
    ("entity_type", "text"),
    ("entity_id", "text"),
    ("actor", "text"),
    ("detail", "text"),
];

pub const HEALTH: Shape = &[
    ("status", "text"),
    ("service", "text"),
    ("uptime", "number"),
    ("storage", "text"),
    ("membridge", "object"),
];

pub const MEMBRIDGE: Shape = &[
    ("consecutiveFailures", "int"),
    ("lastSuccess", "ms?"),
    ("lastError", "text?"),
    ("connected", "bool"),
];

/// The names of an object's members, in order.
pub fn names(value: &Value) -> Vec<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"));
    object.keys().map(String::as_str).collect()
}

/// The value has the members of the shape, in order, each of its type.
pub fn assert_shape(value: &Value, shape: Shape) {
    let wanted: Vec<_> = shape.iter().map(|(name, _)| *name).collect();
    let found = names(value);
    assert_eq!(found.get(..wanted.len()), Some(&wanted[..]), "{value}");
    for (name, kind) in shape {
        let member = &value[name];
        let is_null = member.is_null() && kind.ends_with('?');
        assert!(
            is_null || is_a(member, kind.trim_end_matches('?')),
            "{name} is no {kind}: {member}"
        );
    }
}

/// A task and what is in it.
pub fn assert_task(value: &Value) {
    assert_shape(value, TASK);
    assert_shape(&value["policy"], POLICY);
}

/// A worker and what is in it.
pub fn assert_worker(value: &Value) {
    assert_shape(value, WORKER);
    assert_shape(&value["capabilities"], CAPABILITIES);
}

/// A result and what is in it.
pub fn assert_result(value: &Value) {
    assert_shape(value, RESULT);
    assert_shape(&value["metrics"], METRICS);
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "uuid" => value
            .as_str()
            .is_some_and(|text| Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)),
        "text" => value.is_string(),
        "texts" => value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_string)),
        "int" => value.is_i64(),
        // Between 2020 and 2100, so surely no seconds and no microseconds.
        "ms" => value
            .as_i64()
            .is_some_and(|ms| (1_577_836_800_000..4_102_444_800_000).contains(&ms)),
        "number" => value.is_number(),
        "bool" => value.is_boolean(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no such type: {other}"),
    }
}
