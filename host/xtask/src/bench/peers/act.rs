//! act, which runs GitHub's workflows: here on the machine itself, without containers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Peered;
use crate::bench::Bench;
use crate::bench::statistics::{median, millis};
use crate::env::Env;
use crate::ui::{Mark, Step};
use crate::{git, interrupt, process};

const VERSION: &str = "0.2.89";

/// How often it is run before it counts, and then.
const RUNS: (usize, usize) = (2, 20);

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

const WORKFLOW: &str = r#"on: push
jobs:
  noop:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
      - run: "true"
      - run: "true"
"#;

/// Installs it where it is missing, and measures it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Peered> {
    let program = ensure(bench.env)?;
    let step = Step::new("run three steps with act");
    let (home, repository) = (bench.home("act-home")?, bench.home("act")?);
    let workflows = repository.join(".github").join("workflows");
    std::fs::create_dir_all(&workflows)?;
    std::fs::write(workflows.join("noop.yml"), WORKFLOW)?;
    git::run(&repository, &["init", "--quiet", "--initial-branch=main"])?;
    git::run(&repository, &["add", "--all"])?;
    git::run(&repository, &["commit", "--quiet", "--message", "Do nothing"])?;
    let mut times = Vec::new();
    for number in 0..RUNS.0 + RUNS.1 {
        interrupt::pause(Duration::ZERO)?;
        let command = act(bench.env, &program, &home, &repository);
        let began = Instant::now();
        process::follow(command, Some(LIMIT), |line| step.detail(line))?.check()?;
        if number >= RUNS.0 {
            times.push(millis(began.elapsed()));
        }
    }
    step.end(Mark::Good, &format!("{} runs", times.len()));
    Ok(Peered { median_ms: median(&times), runs: times.len() })
}

/// A run, without what the user has set up for it.
fn act(env: &Env, program: &Path, home: &Path, repository: &Path) -> Command {
    let mut command = env.command(program);
    command.args(["push", "-P", "ubuntu-latest=-self-hosted"]).current_dir(repository);
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    command
}

fn ensure(env: &Env) -> Result<PathBuf> {
    let folder = env.tools().join(format!("act-{VERSION}")).join("bin");
    let program = folder.join("act");
    let mut version = env.command(&program);
    version.arg("--version");
    if process::works(version) {
        return Ok(program);
    }
    let step = Step::new("install act");
    let mut command = env.command("go");
    command.args(["install", &format!("github.com/nektos/act@v{VERSION}")]).env("GOBIN", &folder);
    let told = process::follow(command, Some(INSTALL_LIMIT), |line| step.detail(line));
    let told = told.context("act is installed with Go, which is not here")?;
    if !told.is_success() {
        anyhow::bail!("act cannot be installed: {}", told.reason());
    }
    step.done();
    Ok(program)
}
