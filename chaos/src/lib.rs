//! Faults for BLOOM Runtime, and a checker of what they left behind.
//!
//! A run starts the real parts (PostgreSQL, two services, nginx, workers), puts load on them, lets
//! a nemesis loose whose schedule comes from a seed, then heals everything, waits until the queue
//! is empty, and reads the tables. Every client writes down what it asked and what it was told
//! ([`journal`]); the [`checker`] holds that, and the tables, against the invariants I1–I22.

pub mod checker;
pub mod clients;
pub mod controls;
pub mod dump;
pub mod journal;
pub mod nemesis;
pub mod program;
pub mod report;
pub mod rig;
pub mod run;
pub mod tables;
