//! The embedded app host: serves released `wasi:http` components at
//! `http://<app>.localhost:<port>`.
//!
//! It is a process of its own, started and told what to do by control. An app is untrusted:
//! each request runs in a Store of its own, without network, files, environment or
//! arguments, within the [`Limits`]. A release gets traffic only after this host saw it
//! healthy.
//!
//! It never stores anything but compiled code: after a restart control brings the releases
//! back.

mod admin;
mod front;
mod guest;
mod health;
mod net;
mod options;
mod registry;
mod server;
mod tally;

pub use options::{Bound, Limits, Options};
pub use server::{Error, run};
