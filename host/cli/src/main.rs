//! `slipway`: serves, triggers, and shows. One file a command.

mod args;
mod built_in;
mod client;
mod commands;
mod diagnostics;
mod exit;
mod follow;
mod output;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The first program in a tool's sandbox: nothing else of this one is there.
    let mut words = std::env::args();
    if words.nth(1).as_deref() == Some(slipway_worker::tools::init::COMMAND) {
        return slipway_worker::tools::init::main(&words.collect::<Vec<_>>());
    }
    let args = args::Args::parse();
    output::start_logging(&args);
    match commands::run(args) {
        Ok(code) => code,
        Err(error) => output::report(&error),
    }
}
