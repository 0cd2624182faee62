//! Who puts load on the queue, and writes down what comes of it.

pub mod api;
pub mod operator;
pub mod pool;
pub mod producer;
pub mod pull;
pub mod sql;
