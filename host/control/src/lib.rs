//! Control: decides, and holds what is valuable. Runs neither plugins nor tools.

pub mod api;
pub mod apps;
pub mod blobs;
pub mod broker;
pub mod children;
pub mod clock;
pub mod config;
mod control;
pub mod definition;
pub mod files;
pub mod git;
pub mod http;
pub mod plugins;
mod private;
pub mod scheduler;
pub mod secrets;
pub mod store;
pub mod workers;

pub use control::{Error, Options, Running, operator, run};
