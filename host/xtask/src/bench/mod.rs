//! `cargo xtask bench`: how long things take, beside the floor of this machine and beside
//! others who do the same.
//!
//! A figure is listed in `figures.rs` and measured in a file of its own here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::env::Env;
use crate::slipway::api::Api;
use crate::ui;
use crate::{guests, interrupt, toolchain};
use figures::Findings;
use programs::{Profile, Programs};

mod commit;
mod figures;
mod json;
mod machine;
mod memory;
mod noop;
mod peers;
mod pipeline;
mod programs;
mod stage;
mod start;
mod statistics;
mod table;
mod throughput;

/// Measures Slipway with three no-op stages, beside the floor of this machine and its peers.
///
/// Builds everything first; a release build takes some ten minutes the first time, the
/// measurements about one. Everything listens on this machine only and ends with the command.
/// An aim that is not met is told in the table and is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// How many runs are timed one after the other
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub(crate) runs: u32,
    /// How long 32 clients trigger runs for `runs_per_second`
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
    /// How many old runs are in the store for `noop_pipeline_later_p50_ms`
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) old_runs: u64,
    /// The build that is measured
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    pub(crate) profile: Profile,
    /// Measure nothing of act and Buildbot, and install neither
    #[arg(long)]
    pub(crate) without_peers: bool,
    /// Write the figures to this file too: one number a name, `null` for what was not measured
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

const HELP: &str = "\
What is measured, and how, is told in docs/performance.md. Close what else runs on the machine;
compare ratios of one run rather than numbers of two.

act comes from the Go module proxy and Buildbot from PyPI, into the user's cache; without Go or
Python that peer is skipped, and the table says why.

Examples:
  cargo xtask bench
  cargo xtask bench --without-peers --json figures.json
  cargo xtask bench --profile dev --runs 50 --seconds 3";

/// What measurements have in common.
struct Bench<'a> {
    env: &'a Env,
    arguments: &'a Arguments,
    programs: Programs,
    /// A folder on the disk that counts; it goes away at the end.
    folder: &'a Path,
}

impl Bench<'_> {
    /// Makes a new folder.
    fn home(&self, name: &str) -> Result<PathBuf> {
        let home = self.folder.join(name);
        std::fs::create_dir_all(&home).with_context(|| format!("cannot make `{}`", home.display()))?;
        Ok(home)
    }
}

/// Runs the command.
pub(crate) fn run(env: &Env, arguments: &Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    let toolchain = toolchain::ensure(env)?;
    guests::build(env, &toolchain)?;
    let programs = programs::build(env, arguments.profile)?;
    let folder = folder(env)?;
    let bench = Bench { env, arguments, programs, folder: folder.path() };
    let mut findings = Findings::default();
    measure(&bench, &mut findings)?;
    ui::line(&format!("\n{}", machine::describe(bench.folder)));
    ui::line(&format!("{}, {} runs", bench.programs.told, arguments.runs));
    ui::line(&table::table(&findings));
    if let Some(path) = &arguments.json {
        json::write(path, &findings)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    start::measure(bench, findings)?;
    memory::measure(bench, findings)?;
    stage::calls(bench, findings)?;
    let mut server = start::server(bench, &bench.home("server")?)?;
    let api = Api::new(&server.ready)?;
    let measured = pipeline::measure(bench, &api, findings)
        .and_then(|()| stage::first_calls(bench, &api, findings))
        .and_then(|()| throughput::measure(bench, &server.ready, findings))
        .and_then(|()| pipeline::measure_later(bench, &api, findings));
    measured.map_err(|error| server.explain(error))?;
    server.stop()?;
    peers::measure(bench, findings)
}

/// A folder in the user's cache: the temporary folder of many systems is in memory, where
/// a commit costs nothing.
fn folder(env: &Env) -> Result<tempfile::TempDir> {
    let parent = env.cache.join("bench");
    std::fs::create_dir_all(&parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&parent);
    folder.with_context(|| format!("cannot make a folder in `{}`", parent.display()))
}
