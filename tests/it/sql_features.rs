//! What the verbs promise, one test a promise.

mod beats;
mod counting;
mod idempotency;
mod limits;
mod order;
mod priority;
mod reading;
mod retention;
mod retries;
mod serial;
mod trails;
mod waiting;
