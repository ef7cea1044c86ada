//! bubblewrap, which the worker runs native tools in.

use std::process::Command;

use anyhow::{Result, bail};

use crate::env::Env;
use crate::process;
use crate::ui::{Mark, Step};

/// Makes sure that bubblewrap is here, and installs it where that is possible.
pub(crate) fn ensure(env: &Env) -> Result<()> {
    if is_here() {
        return Ok(());
    }
    if !nix::unistd::Uid::effective().is_root() || !process::works(apt(env, &["--version"])) {
        bail!("bubblewrap is not installed, and stages run their tools in it: {HINT}");
    }
    let step = Step::new("install bubblewrap");
    let install = || process::follow(apt(env, &["install", "-y", "bubblewrap"]), None, |line| step.detail(line));
    if !install()?.is_success() {
        // The lists of packages may be missing, or too old.
        process::run(&step, apt(env, &["update"]))?;
        install()?.check()?;
    }
    step.end(Mark::Good, "");
    if is_here() { Ok(()) } else { bail!("bubblewrap is installed, but `bwrap` does not start: {HINT}") }
}

const HINT: &str = "install the package `bubblewrap` with your system's package manager";

fn is_here() -> bool {
    let mut command = Command::new("bwrap");
    command.arg("--version");
    process::works(command)
}

fn apt(env: &Env, arguments: &[&str]) -> Command {
    let mut command = env.command("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    command
}
