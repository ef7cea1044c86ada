//! `cargo xtask test`: everything that has to hold, with one line of counts at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::env::Env;
use crate::metadata::Metadata;
use crate::ui::{self, Colour, Mark};
use crate::{guests, sandbox, toolchain};
use counts::Counts;
use suite::{Needs, Runs, Suite};

mod cargo;
mod counts;
mod deny;
mod features;
mod lint;
mod suite;

/// The package whose test targets are the suites that need a whole Slipway.
const PACKAGE: &str = "slipway";

/// Runs the tests: all suites, or those that are named.
///
/// Builds what they need first. A suite is quiet unless something fails; then all of its
/// output is shown. The last line has the counts, and the exit code is 1 if anything failed.
#[derive(Debug, clap::Args)]
#[command(after_help = suite::help())]
pub(crate) struct Arguments {
    /// The suites to run [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print the suites and run none
    #[arg(long)]
    list: bool,
    /// What the test programs get, such as a part of the names of the tests to run
    #[arg(last = true, value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(env: &Env, arguments: &Arguments) -> Result<ExitCode> {
    if arguments.list {
        ui::line(&suite::list());
        return Ok(ExitCode::SUCCESS);
    }
    let suites = suite::choose(&arguments.names)?;
    let mut setup = Setup::prepare(env, &suites)?;
    setup.filter.clone_from(&arguments.filter);
    let mut reports = Vec::new();
    for suite in suites {
        let started = Instant::now();
        let counts = match suite.runs {
            Runs::Lints => lint::run(&setup)?,
            Runs::Units => cargo::units(&setup)?,
            Runs::Target => target(&setup, suite)?,
        };
        reports.push(Report { suite: suite.name, counts, time: started.elapsed() });
    }
    ui::line(&table(&reports));
    let total = reports.iter().map(|report| report.counts).sum::<Counts>();
    ui::line(&total.to_string());
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a suite that is a test target of its own.
fn target(setup: &Setup, suite: &Suite) -> Result<Counts> {
    if setup.targets.iter().any(|target| target == suite.name) {
        return cargo::target(setup, suite.name);
    }
    ui::progress(&format!("{} {}: package `{PACKAGE}` has no such tests yet", Mark::Skipped.sign(), suite.name));
    Ok(Counts { skipped: 1, ..Counts::default() })
}

/// What the suites run on.
struct Setup<'a> {
    env: &'a Env,
    /// What to tell the test programs about the machine.
    variables: Vec<(&'static str, std::path::PathBuf)>,
    /// The suites that there are tests for.
    targets: Vec<String>,
    /// Test targets of the other packages.
    unit_targets: Vec<String>,
    filter: Vec<String>,
}

impl<'a> Setup<'a> {
    /// Builds what these suites need.
    fn prepare(env: &'a Env, suites: &[&Suite]) -> Result<Self> {
        let metadata = Metadata::of(env, &env.root)?;
        let all = metadata.package(PACKAGE).into_iter().flat_map(|package| &package.targets);
        let targets: Vec<String> = all.filter(|target| target.is("test")).map(|target| target.name.clone()).collect();
        let runs = |suite: &&&Suite| suite.runs != Runs::Target || targets.iter().any(|name| name == suite.name);
        let needs = suites.iter().filter(runs).map(|suite| suite.needs).max().unwrap_or(Needs::Nothing);

        let unit_targets = metadata.test_targets_beside(PACKAGE);

        let mut variables = vec![("SLIPWAY_REPO", env.root.clone())];
        if needs >= Needs::Guests {
            let toolchain = toolchain::ensure(env)?;
            guests::build(env, &toolchain)?;
            variables.push(("SLIPWAY_GUESTS", env.guests()));
            variables.push(("SLIPWAY_TEST_APP_WASM", env.app()));
            variables.push(("SLIPWAY_RUST_TOOLCHAIN", toolchain.root));
        }
        if needs >= Needs::Sandbox {
            sandbox::ensure(env)?;
        }
        Ok(Self { env, variables, targets, unit_targets, filter: Vec::new() })
    }
}

/// How a suite ended.
struct Report {
    suite: &'static str,
    counts: Counts,
    time: Duration,
}

fn table(reports: &[Report]) -> String {
    let mut lines = vec![format!("\n{:<10}{:>8}{:>8}{:>9}{:>14}", "suite", "passed", "failed", "skipped", "time")];
    for Report { suite, counts, time } in reports {
        let Counts { passed, failed, skipped } = counts;
        let line = format!("{suite:<10}{passed:>8}{failed:>8}{skipped:>9}{:>14}", ui::seconds(*time));
        lines.push(if *failed > 0 { Colour::Red.paint(&line) } else { line });
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_suite() {
        let counts = Counts { passed: 12, failed: 0, skipped: 3 };
        let reports = [Report { suite: "unit", counts, time: Duration::from_millis(1500) }];
        assert_eq!(
            table(&reports),
            "\nsuite       passed  failed  skipped          time\nunit            12       0        3        1.50 s\n"
        );
    }
}
