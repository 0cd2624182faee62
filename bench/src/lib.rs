//! Load on BLOOM Runtime: a server to measure, clients that cost little, loops, scenarios. Used by the
//! program `bloom-bench` and by the benches of `cargo bench`.

pub mod goals;
pub mod http;
pub mod measure;
pub mod peers;
pub mod plots;
pub mod process;
pub mod report;
pub mod scenarios;
pub mod server;
pub mod summary;
