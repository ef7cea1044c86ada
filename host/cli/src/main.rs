//! `slipway`: serves, triggers, and shows. One file a command.

mod args;
mod built_in;
mod client;
mod commands;
mod diagnostics;
mod error;
mod exit;
mod files;
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
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        // What was asked for is not known then, so the words themselves are looked at.
        Err(error) => return error::report_usage(&error, std::env::args().any(|word| word == "--json")),
    };
    output::start_logging(&args);
    let as_json = args.json;
    match commands::run(args) {
        Ok(code) => code,
        Err(error) => error::report(&error, as_json),
    }
}
