//! The whole product on real parts: the binary, git, cargo in its sandbox, components.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test that meets what it does not expect has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod app;
mod app_host;
mod command_line;
mod disk;
mod elsewhere;
mod guests;
mod messages;
mod pins;
mod plugins;
mod runs;
mod tokens;
