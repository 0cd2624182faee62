//! Every verb with its arguments: a value that is right, and what kind of value is wrong.

mod queues;
mod stored;
mod upkeep;
mod webhooks;
mod workers;

/// A verb as `select * from bloom.NAME(ARGS)`.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, all of them.
    pub args: Vec<Argument>,
}

/// One argument: its name without `p_`, a right value in SQL, and its kind.
pub struct Argument {
    /// The name without `p_`.
    pub name: &'static str,
    /// A value with which the call succeeds.
    pub good: &'static str,
    /// What would be wrong.
    pub kind: Arg,
}

/// Kinds of arguments.
pub enum Arg {
    /// A UUID of something that must exist.
    Id,
    /// A text of 1 to so many characters.
    Name(usize),
    /// An integer within bounds.
    Int(i32, i32),
    /// An object of options.
    Options(Vec<(&'static str, Opt)>),
    /// These values are wrong.
    Some(&'static [&'static str]),
    /// Null has a meaning, and every value of the type is right or finds nothing.
    Maybe,
}

/// Kinds of options. Null always means "not given".
#[derive(Clone, Copy)]
pub enum Opt {
    /// A text of at most so many characters.
    Text(usize),
    /// An integer within bounds.
    Int(i32, i32),
    /// True or false.
    Bool,
    /// A UUID.
    Uuid,
    /// So many texts of so many characters.
    Texts(usize, usize),
    /// A moment.
    Time,
    /// One of a few words.
    Among,
    /// A task's policy.
    Policy,
    /// What a result was measured to have cost.
    Metrics,
    /// An object with closely described members: these are wrong.
    Object(&'static [&'static str]),
    /// Integer epoch milliseconds, whatever their value.
    Moment,
}

const ACTOR: (&str, Opt) = ("actor", Opt::Text(200));

/// The options of a submission.
pub const SUBMISSION: &[(&str, Opt)] = &[
    ("context_hints", Opt::Texts(1000, 4096)),
    ("policy", Opt::Policy),
    ("desired_format", Opt::Among),
    ("queue", Opt::Text(128)),
    ("requires", Opt::Texts(16, 128)),
    ("priority", Opt::Int(0, 9)),
    ("max_attempts", Opt::Int(1, 10)),
    ("max_crashes", Opt::Int(1, 10)),
    ("run_at", Opt::Time),
    ("idempotency_key", Opt::Text(255)),
];

/// The options of a report.
const REPORT: &[(&str, Opt)] = &[
    ("error_message", Opt::Text(1_048_576)),
    ("metrics", Opt::Metrics),
    ("artifact_type", Opt::Text(128)),
    ("artifact_tags", Opt::Texts(100, 256)),
    ("retryable", Opt::Bool),
    ("conversation", Opt::Object(CONVERSATION)),
    ("stopped", Opt::Object(STOPPED)),
    ("worker_id", Opt::Text(128)),
];

const TASKS: &[&str] = &[
    "null",
    "'{}'",
    "'[]'",
    "'3'",
    "'null'",
    "'[3]'",
    "'[null]'",
    "'[{}]'",
    "'[[]]'",
    "(select jsonb_agg('{\"context_id\": \"c\", \"agent_slug\": \"a\", \"prompt\": \"p\"}'::jsonb)
        from generate_series(1, 10001))",
];
const BEAT: &[&str] = &[
    "null",
    "'{}'",
    "'3'",
    "'null'",
    "'[3]'",
    "'[null]'",
    "'[{}]'",
    "'[{\"lease_id\": null}]'",
    "'[{\"lease_id\": 3}]'",
    "'[{\"lease_id\": \"x\"}]'",
    "(select jsonb_agg(jsonb_build_object('lease_id', gen_random_uuid()))
        from generate_series(1, 101))",
];
const LANES: &[&str] = &[
    "null",
    "'{}'",
    "'3'",
    "'null'",
    "'[3]'",
    "'[null]'",
    "(select jsonb_agg('{}'::jsonb) from generate_series(1, 1001))",
];
const CONVERSATION: &[&str] = &[
    r"{}",
    r#"{"session_id": "s"}"#,
    r#"{"how": "new"}"#,
    r#"{"session_id": "", "how": "new"}"#,
    r#"{"session_id": "s", "how": "old"}"#,
    r#"{"session_id": 3, "how": "new"}"#,
    r#"{"session_id": "s", "how": "new", "x": 1}"#,
];
const STOPPED: &[&str] = &[
    r"{}",
    r#"{"tree_gone": 1, "signal": "none", "processes": 0}"#,
    r#"{"tree_gone": true, "signal": "SIGHUP", "processes": 0}"#,
    r#"{"tree_gone": true, "signal": "none", "processes": -1}"#,
    r#"{"tree_gone": true, "signal": "none"}"#,
];
const WORKER: &[&str] = &["null", "''", "'nobody'", "repeat('x', 10000)"];
const STATUS: &[&str] = &["null", "''", "'done'", "repeat('x', 1000000)"];
const SCOPES: &[&str] = &[
    "null",
    "'{}'",
    "'{other}'",
    "'{reader,null}'",
    "'{{reader},{x}}'",
];
const HASH: &[&str] = &["null", "''", "'\\x00'", "sha512('y')"];
const TTL: Arg = Arg::Int(1, 86400);
/// Arrays that do not fit to one item.
const MANY: &[&str] = &[
    "null",
    "'{}'",
    "array_fill('%T'::uuid, array[2])",
    "array_fill('%T'::uuid, array[1], array[0])",
    "array_fill('%T'::uuid, array[1, 1])",
];
/// What no bulk call takes.
const MANY_IDS: &[&str] = &[
    "null",
    "array[null::uuid]",
    "array_fill('%T'::uuid, array[1001])",
];
const MANY_NUMBERS: &[&str] = &["null", "'{}'", "'{1,1}'", "'[0:0]={1}'", "'{{1}}'"];
const MANY_TEXTS: &[&str] = &["null", "'{}'", "'{a,b}'", "'[0:0]={a}'", "'{{a}}'"];

fn arg(name: &'static str, good: &'static str, kind: Arg) -> Argument {
    Argument { name, good, kind }
}

fn verb(name: &'static str, args: Vec<Argument>) -> Verb {
    Verb { name, args }
}

fn task() -> Argument {
    arg("task_id", "'%T'", Arg::Id)
}

fn lease() -> Argument {
    arg("lease_id", "'%L'", Arg::Id)
}

/// The service may leave the lease out.
fn maybe_lease() -> Argument {
    arg("lease_id", "'%L'", Arg::Some(&["gen_random_uuid()"]))
}

fn options(options: &[(&'static str, Opt)]) -> Argument {
    let mut options = options.to_vec();
    options.push(ACTOR);
    arg("options", "'{}'", Arg::Options(options))
}

fn bare_options(options: &[(&'static str, Opt)]) -> Argument {
    arg("options", "'{}'", Arg::Options(options.to_vec()))
}

fn limit(max: i32) -> Argument {
    arg("limit", "1", Arg::Int(1, max))
}

/// Every verb there is.
pub fn verbs() -> Vec<Verb> {
    let mut all = tasks();
    all.extend(leases());
    all.extend(lease_batches());
    all.push(stored::completion());
    all.extend(queues::queues());
    all.extend(workers::workers());
    all.extend(upkeep::readers());
    all.extend(upkeep::keepers());
    all.extend(webhooks::verbs());
    all
}

fn tasks() -> Vec<Verb> {
    vec![
        verb(
            "task_submit",
            vec![
                arg("context_id", "'c'", Arg::Name(512)),
                arg("agent_slug", "'a'", Arg::Name(255)),
                arg("prompt", "'p'", Arg::Name(4_194_304)),
                options(SUBMISSION),
            ],
        ),
        verb(
            "task_submit_many",
            vec![
                arg(
                    "tasks",
                    "'[{\"context_id\": \"c\", \"agent_slug\": \"a\", \"prompt\": \"p\"}]'",
                    Arg::Some(TASKS),
                ),
                options(&[
                    ("atomic", Opt::Bool),
                    ("notify", Opt::Bool),
                    ("actors", Opt::Texts(10_000, 200)),
                ]),
            ],
        ),
        verb(
            "task_cancel",
            vec![
                task(),
                options(&[
                    ("reason", Opt::Text(2000)),
                    ("grace_seconds", Opt::Int(1, 3600)),
                ]),
            ],
        ),
        verb(
            "task_requeue",
            vec![arg("task_id", "'%D'", Arg::Id), options(&[])],
        ),
        verb(
            "task_cancel_many",
            vec![
                arg("task_ids", "array['%T']::uuid[]", Arg::Some(MANY_IDS)),
                options(&[
                    ("reason", Opt::Text(2000)),
                    ("grace_seconds", Opt::Int(1, 3600)),
                ]),
            ],
        ),
        verb(
            "task_requeue_many",
            vec![
                arg("task_ids", "array['%D']::uuid[]", Arg::Some(MANY_IDS)),
                options(&[]),
            ],
        ),
        verb(
            "task_prioritize",
            vec![
                arg("task_id", "'%R'", Arg::Id),
                arg("priority", "1", Arg::Int(0, 9)),
                options(&[]),
            ],
        ),
        verb(
            "task_requeue_dead",
            vec![
                arg("queue", "'another'", Arg::Name(128)),
                limit(1000),
                options(&[]),
            ],
        ),
        verb("task_promote", vec![limit(10000)]),
    ]
}

fn lease_batches() -> Vec<Verb> {
    vec![
        verb(
            "lease_next_many",
            vec![
                arg("workers", "array['w']", Arg::Some(MANY_TEXTS)),
                arg("sessions", "array[null::uuid]", Arg::Some(MANY)),
                arg("max_tasks", "array[1]", Arg::Some(MANY_NUMBERS)),
                arg("ttl_seconds", "array[60]", Arg::Some(MANY_NUMBERS)),
                arg("requests", "array[null::uuid]", Arg::Some(MANY)),
                options(&[
                    ("actors", Opt::Texts(1000, 200)),
                    (
                        "queues",
                        Opt::Object(&["[[\"x\"], null]", "[[3]]", "[\"x\"]"]),
                    ),
                ]),
            ],
        ),
        verb(
            "lease_heartbeat_many",
            vec![
                arg("tasks", "array['%T'::uuid]", Arg::Some(MANY)),
                arg("leases", "array['%L'::uuid]", Arg::Some(MANY)),
                arg("ttl_seconds", "array[60]", Arg::Some(MANY_NUMBERS)),
                arg("workers", "array['w']", Arg::Some(MANY_TEXTS)),
                bare_options(&[("actors", Opt::Texts(1000, 200))]),
            ],
        ),
        verb(
            "worker_beat_many",
            vec![
                arg("workers", "array['w']", Arg::Some(MANY_TEXTS)),
                arg("sessions", "array[gen_random_uuid()]", Arg::Some(MANY)),
                arg(
                    "leases",
                    "'[[]]'",
                    Arg::Some(&["null", "'{}'", "'[]'", "'[[], []]'"]),
                ),
            ],
        ),
        verb(
            "lease_complete_many",
            vec![
                arg("tasks", "array['%T'::uuid]", Arg::Some(MANY)),
                arg("leases", "array['%L'::uuid]", Arg::Some(MANY)),
                arg("statuses", "array['success']", Arg::Some(MANY_TEXTS)),
                arg("outputs", "array['out']", Arg::Some(MANY_TEXTS)),
                arg(
                    "options",
                    "'[{}]'",
                    Arg::Some(&["null", "'{}'", "'[]'", "'[{}, {}]'"]),
                ),
            ],
        ),
    ]
}

fn leases() -> Vec<Verb> {
    let of_worker = ("worker_id", Opt::Text(128));
    let ttl = ("ttl_seconds", Opt::Int(1, 86400));
    vec![
        verb(
            "lease_next",
            vec![
                arg("worker_id", "'w'", Arg::Some(WORKER)),
                arg("session_id", "null", Arg::Maybe),
                arg("max_tasks", "1", Arg::Int(1, 100)),
                arg("ttl_seconds", "60", TTL),
                options(&[("request_id", Opt::Uuid), ("queues", Opt::Texts(100, 128))]),
            ],
        ),
        verb(
            "lease_task",
            vec![
                arg("task_id", "'%R'", Arg::Id),
                arg(
                    "workers",
                    "array['w']",
                    Arg::Some(&["array_fill('w'::text, array[1001])"]),
                ),
                arg("ttl_seconds", "60", TTL),
                options(&[("session_id", Opt::Uuid)]),
            ],
        ),
        verb(
            "lease_heartbeat",
            vec![task(), maybe_lease(), options(&[ttl, of_worker])],
        ),
        verb(
            "lease_start",
            vec![task(), maybe_lease(), options(&[ttl, of_worker])],
        ),
        verb(
            "lease_extend",
            vec![
                task(),
                lease(),
                arg("ttl_seconds", "60", TTL),
                bare_options(&[of_worker]),
            ],
        ),
        verb("lease_check", vec![task(), maybe_lease()]),
        verb(
            "lease_complete",
            vec![
                task(),
                maybe_lease(),
                arg("status", "'success'", Arg::Some(STATUS)),
                arg("output", "'out'", Arg::Some(&["repeat('x', 67108865)"])),
                options(REPORT),
            ],
        ),
        verb(
            "task_log_append",
            vec![
                task(),
                lease(),
                arg(
                    "position",
                    "0",
                    Arg::Some(&["null", "-1", "9223372036854775807"]),
                ),
                arg("text", "'x'", Arg::Some(&["null", "repeat('x', 65537)"])),
                bare_options(&[of_worker]),
            ],
        ),
        verb(
            "lease_release",
            vec![
                task(),
                lease(),
                options(&[
                    ("reason", Opt::Text(2000)),
                    ("limited_until", Opt::Moment),
                    ("stopped", Opt::Object(STOPPED)),
                    of_worker,
                ]),
            ],
        ),
        verb("lease_overdue", vec![limit(10000)]),
        verb(
            "lease_expire",
            vec![
                limit(10000),
                arg("tasks", "null", Arg::Maybe),
                options(&[("grace_seconds", Opt::Int(0, 86400))]),
            ],
        ),
    ]
}
