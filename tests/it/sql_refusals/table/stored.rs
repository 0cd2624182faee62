//! The verb that ends a lease whose output is in object storage.

use super::{Arg, REPORT, STATUS, Verb, arg, maybe_lease, options, task, verb};

const GOOD_STORED: &str = "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'size_bytes', 3, \
                           'sha256', repeat('ab', 32))";
const STORED: &[&str] = &[
    "null",
    "'3'",
    "'[]'",
    "'{}'",
    "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'size_bytes', 3, 'sha256', 'ab')",
    "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'size_bytes', 3, 'sha256', 7)",
    "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'size_bytes', -1, 'sha256', repeat('ab', 32))",
    "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'sha256', repeat('ab', 32))",
    "jsonb_build_object('url', 3, 'size_bytes', 3, 'sha256', repeat('ab', 32))",
    "jsonb_build_object('url', repeat('x', 2049), 'size_bytes', 3, 'sha256', repeat('ab', 32))",
    "jsonb_build_object('url', 's3://b/p/%T/%R/x', 'size_bytes', 3, 'sha256', repeat('ab', 32))",
    "jsonb_build_object('url', 's3://b/p/%T/%L/x', 'size_bytes', 3, 'sha256', repeat('ab', 32),
         'more', 1)",
];

pub(super) fn completion() -> Verb {
    verb(
        "lease_complete_stored",
        vec![
            task(),
            maybe_lease(),
            arg("status", "'success'", Arg::Some(STATUS)),
            arg("stored", GOOD_STORED, Arg::Some(STORED)),
            options(REPORT),
        ],
    )
}
