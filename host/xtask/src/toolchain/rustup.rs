//! rustup, which most people have.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::TARGET;
use crate::env::Env;
use crate::process;
use crate::ui::{Mark, Step};

/// What is done here, in words.
pub(super) const WAY: &str = "`rustup target add wasm32-wasip2`";

/// How long rustup may take: the download is some 20 MB.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks rustup to add the target to the current toolchain.
pub(super) fn add_target(env: &Env) -> Result<()> {
    let step = Step::new(format!("add {TARGET} to the Rust toolchain"));
    let mut command = env.command("rustup");
    command.args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1");
    let told = process::follow(command, Some(LIMIT), |line| step.detail(line)).context("rustup is not here")?;
    if !told.is_success() {
        let reason = told.reason();
        step.end(Mark::Skipped, "rustup cannot");
        bail!(reason);
    }
    step.done();
    Ok(())
}
