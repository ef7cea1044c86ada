//! Evil plugins (P1 to P45 of the list of threats): each is refused, stopped or made harmless, and nothing of it
//! stays.

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

mod compile;
mod orchestra;
mod plugins;
mod wat;
