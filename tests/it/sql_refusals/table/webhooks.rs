//! Verbs about webhooks.

use super::{Arg, Argument, Opt, Verb, arg, bare_options, limit, options, verb};

const NOT_NULL: Arg = Arg::Some(&["null"]);
const SETTINGS: [(&str, Opt); 6] = [
    ("types", Opt::Texts(100, 200)),
    ("queues", Opt::Texts(100, 128)),
    ("max_events", Opt::Int(1, 100)),
    ("max_attempts", Opt::Int(1, 50)),
    ("backoff_ms", Opt::Int(100, 3_600_000)),
    ("paused", Opt::Bool),
];

fn webhook() -> Argument {
    arg("webhook_id", "'%W'", Arg::Id)
}

fn delivery() -> Argument {
    arg("delivery_id", "'%V'", Arg::Id)
}

fn service() -> Argument {
    arg(
        "service_id",
        "'%S'",
        Arg::Some(&["null", "gen_random_uuid()"]),
    )
}

pub(super) fn verbs() -> Vec<Verb> {
    let mut changes = SETTINGS.to_vec();
    changes.extend([
        ("name", Opt::Text(128)),
        ("url", Opt::Text(2048)),
        ("secret", Opt::Object(&["3", "[]", "\"x\""])),
    ]);
    vec![
        verb(
            "webhook_create",
            vec![
                arg("webhook_id", "gen_random_uuid()", NOT_NULL),
                arg("name", "'n'", Arg::Name(128)),
                arg("url", "'u'", Arg::Name(2048)),
                arg(
                    "secret",
                    "'{}'",
                    Arg::Some(&["null", "'3'", "'[]'", "'null'"]),
                ),
                options(&SETTINGS),
            ],
        ),
        verb("webhook_configure", vec![webhook(), options(&changes)]),
        verb("webhook_list", vec![]),
        verb("webhook_get", vec![webhook()]),
        verb("webhook_find", vec![webhook()]),
        verb("webhook_remove", vec![webhook(), options(&[])]),
        verb(
            "webhook_next",
            vec![
                arg("service_id", "'%S'", NOT_NULL),
                limit(100),
                arg("seconds", "1", Arg::Int(1, 3600)),
            ],
        ),
        verb(
            "webhook_submit",
            vec![
                arg("webhook_id", "'%X'", Arg::Id),
                service(),
                arg("xid", "'999999'", NOT_NULL),
                arg("seq", "1", NOT_NULL),
                arg("events", "'[]'", NOT_NULL),
                arg("event_count", "1", Arg::Int(0, 100)),
            ],
        ),
        verb(
            "webhook_complete",
            vec![
                delivery(),
                service(),
                arg("delivered", "true", NOT_NULL),
                bare_options(&[
                    ("status", Opt::Int(100, 999)),
                    ("error", Opt::Text(1000)),
                    ("duration_ms", Opt::Int(0, 86_400_000)),
                    ("seconds", Opt::Int(1, 3600)),
                ]),
            ],
        ),
        verb(
            "webhook_release",
            vec![
                arg("webhook_id", "'%W'", Arg::Maybe),
                arg("service_id", "'%S'", Arg::Maybe),
            ],
        ),
        verb(
            "delivery_list",
            vec![webhook(), limit(1000), arg("before", "null", Arg::Maybe)],
        ),
        verb("delivery_get", vec![delivery()]),
        verb("delivery_requeue", vec![delivery(), options(&[])]),
    ]
}
