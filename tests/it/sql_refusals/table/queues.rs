//! The verbs of queues.

use super::{Arg, Opt, Verb, arg, options, verb};

/// The verbs of queues.
pub fn queues() -> Vec<Verb> {
    vec![
        verb("queue_list", vec![]),
        verb(
            "queue_configure",
            vec![
                arg("queue", "'q'", Arg::Name(128)),
                options(&[
                    ("paused", Opt::Bool),
                    ("max_running", Opt::Int(1, 1_000_000)),
                    ("serial_contexts", Opt::Bool),
                    ("aging_seconds", Opt::Int(1, 86400)),
                    ("pin_wait_ms", Opt::Int(0, 600_000)),
                ]),
            ],
        ),
        verb(
            "queue_pause",
            vec![arg("queue", "'q'", Arg::Name(128)), options(&[])],
        ),
        verb(
            "queue_resume",
            vec![arg("queue", "'q'", Arg::Name(128)), options(&[])],
        ),
    ]
}
