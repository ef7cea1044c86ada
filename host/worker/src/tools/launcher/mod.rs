//! The launcher: the process beside a worker that starts its tools.
//!
//! A worker keeps itself to its own files, and a process that has done so can make no sandbox any more:
//! the kernel lets it mount nothing. So a small process that was started before does it, on typed orders.
//! It trusts the worker with nothing: what an order shows to a tool is below the worker's own folder, or
//! was named when the launcher was started.

mod client;
mod order;
mod server;

pub use client::{Launched, Launcher};
pub use order::{Ended, Order, Settings};
pub use server::main;

/// The command of the `slipway` program that runs [`main`].
pub const COMMAND: &str = "tool-launcher";
