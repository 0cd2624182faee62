//! Pooled connections: how they are opened, kept, handed out, and given back.

mod checkout;
mod connection;

pub(crate) use checkout::Gate;
pub(crate) use connection::{Connection, Opener, Shared};
