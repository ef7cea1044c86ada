//! Suites that cargo runs.

use anyhow::Result;

use super::Setup;
use super::counts::{Counts, Tally};
use crate::process;
use crate::ui::{self, Mark, Step};

/// Runs the tests of each crate, then those in the documentation.
///
/// Always with the whole workspace selected, here and below: another selection would give
/// dependencies other features, and compile the largest of them once more.
pub(super) fn units(setup: &Setup) -> Result<Counts> {
    let mut arguments = vec!["--workspace", "--lib", "--bins"];
    arguments.extend(setup.unit_targets.iter().flat_map(|name| ["--test", name.as_str()]));
    let programs = run(setup, "unit", &arguments)?;
    let documentation = run(setup, "unit: documentation", &["--workspace", "--doc"])?;
    Ok(programs + documentation)
}

/// Runs one test target of the whole program.
pub(super) fn target(setup: &Setup, name: &str) -> Result<Counts> {
    run(setup, name, &["--workspace", "--test", name])
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
