//! The programs that are measured, and those that measure what only they can.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::env::Env;
use crate::process;
use crate::ui::Step;

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// As users get it
    Release,
    /// As developers build it: quicker to build, slower to run
    Dev,
}

impl Profile {
    /// Its name.
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// The folder below cargo's target folder.
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// Where they are.
#[derive(Debug)]
pub(super) struct Programs {
    /// The product.
    pub(super) slipway: PathBuf,
    /// Measures one durable commit.
    pub(super) commit: PathBuf,
    /// Measures one call of a stage.
    pub(super) stage_call: PathBuf,
    /// Which build that is, in words.
    pub(super) told: String,
}

/// Builds them; `SLIPWAY_BIN` names another `slipway`.
pub(super) fn build(env: &Env, profile: Profile) -> Result<Programs> {
    let given = std::env::var_os("SLIPWAY_BIN").filter(|value| !value.is_empty());
    let what = if given.is_some() { "what measures" } else { "slipway and what measures it" };
    let step = Step::new(format!("build {what}, {}", profile.name()));
    let mut command = env.cargo();
    // With the whole workspace selected, as everywhere: see `test/cargo.rs`.
    command.args(["build", "--workspace", "--example=commit", "--example=stage_call"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    if given.is_none() {
        command.arg("--bin=slipway");
    }
    process::run(&step, command)?;
    step.done();

    let folder = env.target.join(profile.folder());
    let examples = folder.join("examples");
    let (slipway, told) = match given {
        Some(given) => (std::path::absolute(given)?, "the `slipway` that `SLIPWAY_BIN` names".to_owned()),
        None => (folder.join("slipway"), format!("{} build", profile.name())),
    };
    if !slipway.is_file() {
        bail!("there is no program at `{}`", slipway.display());
    }
    Ok(Programs { slipway, commit: examples.join("commit"), stage_call: examples.join("stage_call"), told })
}
