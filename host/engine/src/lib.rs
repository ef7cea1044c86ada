//! How untrusted components run, whoever they belong to: what the engine offers them, what
//! a Store may take, what of WASI they get, where their output goes, and why they stopped.
//!
//! The worker runs stages with it, the app host runs apps. What is true of one is true of the
//! other, because it is written here once: neither builds an engine or a Store of its own.

mod clock;
pub mod compiler;
mod config;
mod fault;
mod inspect;
mod limits;
mod open;
mod stdio;
mod store;
mod ticker;
pub mod wasi;

pub use compiler::Compiler;
pub use config::{STACK_BYTES_MAX, config};
pub use fault::Stop;
pub use inspect::{COMPONENT_BYTES_MAX, Unfit, listed};
pub use limits::{Budget, Limits, Refused};
pub use stdio::{LineStream, Lines, Sink};
pub use store::{resources, store};
pub use ticker::{TICK, TickingEngine};

#[cfg(test)]
mod guests;
