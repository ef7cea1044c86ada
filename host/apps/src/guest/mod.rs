//! Apps in wasmtime: compiled once, then a Store and an instance for each request.
//!
//! Invariant: nothing here knows which release has the traffic. Wasmtime's error type ends
//! here.

mod body;
mod fault;
mod handler;
mod inspect;
mod runtime;
mod state;
mod stdio;

pub(crate) use body::{Answer, linger};
pub(crate) use fault::Fault;
pub(crate) use handler::{Call, Handler};
pub(crate) use runtime::{Identity, Runtime};
