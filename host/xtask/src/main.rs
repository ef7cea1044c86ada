//! `cargo xtask`: builds, tests, shows and measures Slipway on a machine that has Rust and little else.
//!
//! Each command makes sure of what it needs by itself; nothing here is part of what users
//! install.

#![expect(clippy::disallowed_methods, reason = "it measures and waits, and nobody pauses its time")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod demo;
mod env;
mod files;
mod git;
mod group;
mod guests;
mod interrupt;
mod metadata;
mod process;
mod sandbox;
mod slipway;
mod test;
mod toolchain;
mod ui;

/// Builds, tests, shows and measures Slipway.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = VARIABLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const VARIABLES: &str = "\
Variables:
  CARGO_TARGET_DIR        where the host is built [default: <user's cache>/slipway/target]
  SLIPWAY_BIN             a `slipway` to show and measure, instead of building one
  SLIPWAY_RUST_TOOLCHAIN  the folder of a Rust toolchain that has wasm32-wasip2, instead of finding one";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Test(test::Arguments),
    Guests(guests::Arguments),
    Toolchain(toolchain::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            ui::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let env = env::Env::find()?;
    match &arguments.command {
        Command::Demo(arguments) => demo::run(&env, arguments),
        Command::Bench(arguments) => bench::run(&env, arguments),
        Command::Test(arguments) => test::run(&env, arguments),
        Command::Guests(arguments) => guests::run(&env, arguments),
        Command::Toolchain(arguments) => toolchain::run(&env, arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once(&"cargo xtask").chain(arguments))
    }

    #[test]
    fn the_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_test_takes_suites_and_what_the_test_programs_take() {
        let Ok(Arguments { command: Command::Test(test) }) = parse(&["test", "unit", "api", "--", "name"]) else {
            panic!("not a test")
        };
        assert_eq!(test.names, ["unit", "api"]);
        assert_eq!(test.filter, ["name"]);
    }

    #[test]
    fn a_demo_waits_unless_it_is_told_not_to() {
        let Ok(Arguments { command: Command::Demo(demo) }) = parse(&["demo"]) else { panic!("not a demo") };
        assert!(!demo.once && demo.port.is_none() && demo.keep.is_none());
        assert!(parse(&["demo", "--once", "--port", "8000", "--keep", "folder"]).is_ok());
    }

    #[test]
    fn a_benchmark_measures_what_users_get_unless_it_is_told_not_to() {
        let Ok(Arguments { command: Command::Bench(bench) }) = parse(&["bench"]) else { panic!("not a benchmark") };
        assert!(bench.runs == 200 && !bench.without_peers && bench.json.is_none());
        assert!(parse(&["bench", "--profile", "dev", "--runs", "50", "--json", "figures.json"]).is_ok());
        assert!(parse(&["bench", "--runs", "0"]).is_err());
    }

    #[test]
    fn a_port_without_a_neighbour_is_refused() {
        assert!(parse(&["demo", "--port", "65535"]).is_err());
        assert!(parse(&["demo", "--port", "0"]).is_err());
    }
}
