//! git, without what the user has set up for it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// Runs git in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Slipway demo")
            .env(format!("GIT_{role}_EMAIL"), "demo@example.invalid");
    }
    process::ask(command)
}
