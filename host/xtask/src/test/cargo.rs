//! Suites that cargo runs.

use anyhow::Result;

use super::counts::{Counts, Tally};
use super::{PACKAGE, Setup};
use crate::process;
use crate::ui::{self, Mark, Step};

/// Runs the tests of each crate, then those in the documentation.
pub(super) fn units(setup: &Setup) -> Result<Counts> {
    let exclude = format!("--exclude={PACKAGE}");
    let programs = run(setup, "unit", &["--workspace", &exclude, "--tests"])?;
    let documentation = run(setup, "unit: documentation", &["--workspace", &exclude, "--doc"])?;
    Ok(programs + documentation)
}

/// Runs one test target of the package of tests.
pub(super) fn target(setup: &Setup, name: &str) -> Result<Counts> {
    run(setup, name, &["--package", PACKAGE, "--test", name])
}

fn run(setup: &Setup, what: &str, arguments: &[&str]) -> Result<Counts> {
    let step = Step::new(what);
    let mut command = setup.env.cargo();
    command.args(["test", "--no-fail-fast"]).args(arguments).arg("--").args(&setup.filter);
    command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
    let mut tally = Tally::default();
    let told = process::follow(command, None, |line| {
        tally.read(line);
        match tally.seen {
            0 => step.detail(line),
            seen => step.detail(&format!("{seen} tests  {line}")),
        }
    })?;
    let counts = tally.end(told.is_success());
    let failed = counts.failed > 0;
    step.end(if failed { Mark::Bad } else { Mark::Good }, &counts.to_string());
    if failed {
        ui::line(&told.to_string());
    }
    Ok(counts)
}
