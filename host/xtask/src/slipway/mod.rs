//! The program that all this is about: built, started, and asked over HTTP.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::env::Env;
use crate::process;
use crate::ui::Step;

pub(crate) mod api;
pub(crate) mod http;
pub(crate) mod server;
pub(crate) mod wire;

/// Builds `slipway`, or takes the one that `SLIPWAY_BIN` names, and returns where it is.
/// The plugins that it carries have to be built before.
pub(crate) fn build(env: &Env) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("SLIPWAY_BIN").filter(|value| !value.is_empty()) {
        let given = std::path::absolute(given)?;
        if !given.is_file() {
            bail!("`SLIPWAY_BIN` is `{}`, where no program is", given.display());
        }
        return Ok(given);
    }
    let step = Step::new("build slipway");
    let mut command = env.cargo();
    command.args(["build", "--package=slipway", "--bins"]);
    process::run(&step, command)?;
    step.done();
    Ok(env.slipway())
}
