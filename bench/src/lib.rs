//! Load on BLOOM Runtime: a server to measure, clients that cost little, loops, scenarios. Used by the
//! program `bloom-bench` and by the benches of `cargo bench`.

pub mod http;
pub mod measure;
pub mod scenarios;
pub mod server;
