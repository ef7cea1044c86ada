//! Checks that look at the source; each counts as one test.

use std::process::Command;

use anyhow::Result;

use super::counts::Counts;
use super::{Setup, deny, features};
use crate::process;
use crate::ui::{self, Mark, Step};

/// Runs all of them, whatever the first ones say.
pub(super) fn run(setup: &Setup) -> Result<Counts> {
    let mut counts = Counts::default();
    for (name, command) in checks(setup) {
        counts += check(&format!("lint: {name}"), command)?;
    }
    Ok(counts + features::run(setup.env)? + deny::run(setup.env)?)
}

/// Runs one check, which is quiet unless it fails.
pub(super) fn check(name: &str, command: Command) -> Result<Counts> {
    let step = Step::new(name);
    let told = process::follow(command, None, |line| step.detail(line))?;
    step.end(if told.is_success() { Mark::Good } else { Mark::Bad }, "");
    if !told.is_success() {
        ui::line(&told.to_string());
    }
    Ok(Counts::one(told.is_success()))
}

fn checks(setup: &Setup) -> Vec<(&'static str, Command)> {
    let env = setup.env;
    let cargo = |arguments: &[&str], folder: &str| {
        let mut command = env.cargo();
        command.args(arguments).current_dir(env.root.join(folder));
        command.envs(setup.variables.iter().map(|(name, value)| (name, value)));
        command
    };
    let format = ["fmt", "--all", "--check"];
    let mut doc = cargo(&["doc", "--no-deps", "--workspace"], "");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    vec![
        ("format", cargo(&format, "")),
        ("format of the guests", cargo(&format, "tests/guests")),
        ("format of the demo app", cargo(&format, "tests/app")),
        ("clippy", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], "")),
        ("clippy of the demo app", cargo(&["clippy", "--all-targets", "--", "-D", "warnings"], "tests/app")),
        ("documentation", doc),
    ]
}
