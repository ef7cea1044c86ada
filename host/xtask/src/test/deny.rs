//! cargo-deny: what the dependencies may be, by `deny.toml`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::counts::Counts;
use super::lint;
use crate::env::Env;
use crate::process;
use crate::ui::{Mark, Step};

const VERSION: &str = "0.20.2";

/// How long fetching the database of advisories may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs its checks; installs it first where it is missing.
pub(super) fn run(env: &Env) -> Result<Counts> {
    let program = ensure(env)?;
    let check = |what: &str, arguments: &[&str]| {
        let mut command = deny(env, &program);
        command.arg("check").args(arguments);
        lint::check(&format!("lint: {what}"), command)
    };
    let mut counts = check("bans", &["bans"])? + check("licenses", &["licenses"])? + check("sources", &["sources"])?;
    counts += if fetch(env, &program)? {
        check("advisories", &["--disable-fetch", "advisories"])?
    } else {
        Counts { skipped: 1, ..Counts::default() }
    };
    Ok(counts)
}

/// Fetches the database of advisories, which is not where crates are.
fn fetch(env: &Env, program: &Path) -> Result<bool> {
    let step = Step::new("lint: advisories");
    let mut command = deny(env, program);
    command.args(["fetch", "db"]);
    let told = process::follow(command, Some(LIMIT), |line| step.detail(line))?;
    if told.is_success() {
        step.clear();
    } else {
        step.end(Mark::Skipped, &format!("the database cannot be fetched: {}", told.reason()));
        return Ok(false);
    }
    Ok(true)
}

/// Makes sure that this version is among the tools.
fn ensure(env: &Env) -> Result<PathBuf> {
    let program = env.tools().join("bin").join("cargo-deny");
    let mut version = env.command(&program);
    version.arg("--version");
    if process::ask(version).is_ok_and(|answer| answer.trim().ends_with(VERSION)) {
        return Ok(program);
    }
    let step = Step::new("install cargo-deny");
    let mut command = env.cargo();
    // Compiling it with optimisation would take longer than all that it is used for.
    command.args(["install", "--locked", "--debug", "--force", "cargo-deny", "--version", VERSION, "--root"]);
    command.arg(env.tools()).env_remove("CARGO_TARGET_DIR");
    process::run(&step, command).context("cannot install cargo-deny")?;
    step.done();
    Ok(program)
}

fn deny(env: &Env, program: &Path) -> Command {
    let mut command = env.command(program);
    command.args(["--color", "never", "--workspace"]);
    command
}
