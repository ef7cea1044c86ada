//! Connections, host names and the answers that the host gives itself.
//!
//! Invariant: nothing here knows of releases.

pub(crate) mod host;
pub(crate) mod listen;
pub(crate) mod problem;
mod stall;
