//! Native tools: what they meet in their sandbox, layer by layer, and what they cannot do to others.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test that meets what it does not expect has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod bombs;
mod builds;
mod layers;
mod network;
mod sandbox;
mod worker;
