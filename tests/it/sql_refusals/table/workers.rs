//! Verbs about workers.

use super::{Arg, BEAT, Opt, Verb, WORKER, arg, bare_options, options, verb};

pub(super) fn workers() -> Vec<Verb> {
    vec![
        verb(
            "worker_register",
            vec![
                arg("worker_id", "'w'", Arg::Name(128)),
                options(&[
                    ("url", Opt::Text(2048)),
                    ("status", Opt::Among),
                    ("claude_cli", Opt::Bool),
                    ("max_concurrency", Opt::Int(1, 1000)),
                    ("labels", Opt::Texts(100, 128)),
                    ("ip_addrs", Opt::Texts(100, 128)),
                    ("agent_version", Opt::Text(128)),
                    ("os_info", Opt::Text(512)),
                    ("install_method", Opt::Text(128)),
                    ("credential", Opt::Text(128)),
                ]),
            ],
        ),
        verb(
            "worker_update",
            vec![
                arg("worker_id", "'w'", Arg::Some(WORKER)),
                options(&[("draining", Opt::Bool), ("status", Opt::Among)]),
            ],
        ),
        verb(
            "worker_remove",
            vec![arg("worker_id", "'w'", Arg::Some(WORKER)), options(&[])],
        ),
        verb(
            "worker_beat",
            vec![
                arg("worker_id", "'w'", Arg::Some(WORKER)),
                arg("session_id", "gen_random_uuid()", Arg::Some(&["null"])),
                arg("leases", "'[]'", Arg::Some(BEAT)),
                bare_options(&[]),
            ],
        ),
        verb(
            "worker_leave",
            vec![
                arg("worker_id", "'w'", Arg::Some(WORKER)),
                arg("session_id", "gen_random_uuid()", Arg::Some(&["null"])),
            ],
        ),
        verb(
            "worker_sweep",
            vec![arg("silent_seconds", "60", Arg::Int(1, 86400))],
        ),
        verb(
            "worker_get",
            vec![arg("worker_id", "'w'", Arg::Some(WORKER))],
        ),
        verb("worker_list", vec![]),
    ]
}
