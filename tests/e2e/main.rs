//! The whole product on real parts: the binary, git, cargo in its sandbox, components.

#[path = "../support/mod.rs"]
mod support;

mod app;
mod command_line;
mod guests;
mod plugins;
mod runs;
