//! The floor: bare commits on the disk of the server's data.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Bench;
use crate::process;

#[derive(Deserialize)]
struct Commits {
    commits_us: Vec<f64>,
}

/// Commits so many times and returns how long each took, in milliseconds.
pub(super) fn several(bench: &Bench<'_>, count: u32) -> Result<Vec<f64>> {
    let mut command = bench.env.command(&bench.programs.commit);
    command.arg(bench.folder).arg(count.to_string());
    let answer = process::ask(command)?;
    let commits: Commits = serde_json::from_str(&answer).context("cannot read what `commit` says")?;
    Ok(commits.commits_us.into_iter().map(|time| time / 1e3).collect())
}
