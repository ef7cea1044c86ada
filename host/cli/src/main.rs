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
mod table;

use clap::Parser;
use slipway_engine::compiler;
use slipway_worker::tools;
use std::process::ExitCode;

/// The first file descriptor that is not one of the standard streams.
const FIRST_AFTER_STANDARD_STREAMS: i32 = 3;

fn main() -> ExitCode {
    // What was left open by whoever started this would be open in every program that it starts:
    // a folder's descriptor is a way out of any sandbox.
    close_fds::set_fds_cloexec(FIRST_AFTER_STANDARD_STREAMS, &[]);
    // The programs beside and around what is not trusted: they have no options, and nothing else of this
    // one is there.
    let mut words = std::env::args();
    match words.nth(1).as_deref() {
        Some(tools::init::COMMAND) => return tools::init::main(&words.collect::<Vec<_>>()),
        Some(tools::cgroup::COMMAND) => return tools::cgroup::enter(&words.collect::<Vec<_>>()),
        Some(tools::launcher::COMMAND) => return tools::launcher::main(),
        Some(compiler::COMMAND) => return compiler::serve(),
        Some(compiler::ALONE_COMMAND) => return compiler::compile_alone(),
        Some(_) | None => {}
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
