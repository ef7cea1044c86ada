//! Runs what is not trusted: components in wasmtime, native tools in a sandbox.
//!
//! A worker dials control, leases attempts, and forwards each privileged import as a
//! `Call`. It holds no credential but its leases.

pub mod beneath;
mod clock;
pub mod confine;
pub mod link;
pub mod log;
pub mod outbox;
pub mod remove;
pub mod runtime;
pub mod session;
pub mod tools;
pub mod transfer;
pub mod watchdog;
pub mod worker;
pub mod workspace;

pub use worker::{Error, Options, run};
