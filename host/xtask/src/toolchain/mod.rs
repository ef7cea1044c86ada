//! A Rust toolchain that compiles for WebAssembly.
//!
//! The ordinary way is rustup. Where rustup cannot download, as on machines that reach
//! nothing but package mirrors, a toolchain is put together from the distribution's
//! packages; it lies in the user's cache and touches nothing of the system.

use std::env::{join_paths, split_paths, var_os};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;
use crate::process;
use crate::ui;

mod apt;
mod assemble;
mod layout;
mod packages;
mod rustup;
mod stamp;
mod standard;
mod verify;

/// What plugins are compiled for.
pub(crate) const TARGET: &str = "wasm32-wasip2";

/// Makes sure of a Rust toolchain for wasm32-wasip2 and prints its folder.
///
/// Takes the current toolchain if it has that target, else asks rustup to add it, else puts
/// a toolchain together from Debian's packages in the user's cache.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Runs the command.
pub(crate) fn run(env: &Env, _: &Arguments) -> Result<ExitCode> {
    ui::line(&ensure(env)?.root.display().to_string());
    Ok(ExitCode::SUCCESS)
}

/// A toolchain that compiles for this machine and for [`TARGET`].
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// Its folder, with `bin` and `lib`.
    pub(crate) root: PathBuf,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// The package manager.
    pub(crate) cargo: PathBuf,
}

impl Toolchain {
    /// The toolchain in a folder.
    fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { rustc: root.join("bin").join("rustc"), cargo: root.join("bin").join("cargo"), root }
    }

    /// Begins a call of its cargo.
    pub(crate) fn cargo(&self, env: &Env) -> Command {
        let mut command = env.command(&self.cargo);
        let bin = self.root.join("bin");
        let others = var_os("PATH").unwrap_or_default();
        if let Ok(path) = join_paths(std::iter::once(bin).chain(split_paths(&others))) {
            command.env("PATH", path);
        }
        command.env("RUSTC", &self.rustc).env("RUSTDOC", self.root.join("bin").join("rustdoc"));
        command
    }

    /// Returns what tells its standard library for [`TARGET`] from any other. Crates that
    /// were compiled against one cannot be used with another, and cargo does not see the
    /// difference between two toolchains of the same version.
    pub(crate) fn identity(&self) -> Result<String> {
        let library = self.library().context("the toolchain has lost its standard library")?;
        let data = library.metadata()?;
        let modified = data.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{name} {} {}", data.len(), modified.as_nanos()))
    }

    /// Whether it has a standard library for [`TARGET`].
    fn is_complete(&self) -> bool {
        self.rustc.is_file() && self.cargo.is_file() && self.library().is_some()
    }

    /// Finds the standard library for [`TARGET`].
    fn library(&self) -> Option<PathBuf> {
        let folder = self.root.join("lib/rustlib").join(TARGET).join("lib");
        crate::files::list(&folder).ok()?.into_iter().find(|file| is_std(file))
    }
}

fn is_std(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("libstd-") && name.ends_with(".rlib")
}

/// Finds a toolchain, or makes one.
pub(crate) fn ensure(env: &Env) -> Result<Toolchain> {
    if let Some(root) = var_os("SLIPWAY_RUST_TOOLCHAIN").filter(|root| !root.is_empty()) {
        let toolchain = Toolchain::at(std::path::absolute(root)?);
        if !toolchain.is_complete() {
            bail!("`SLIPWAY_RUST_TOOLCHAIN` is `{}`, which has no Rust for {TARGET}", toolchain.root.display());
        }
        return Ok(toolchain);
    }
    let current = current(env)?;
    if current.is_complete() {
        return Ok(current);
    }
    if let Some(assembled) = assemble::find(env) {
        return Ok(assembled);
    }
    let mut refusals = vec![("the current toolchain", "it has no standard library for that target".to_owned())];
    match rustup::add_target(env) {
        Ok(()) if current.is_complete() => return Ok(current),
        Ok(()) => refusals.push((rustup::WAY, "it succeeded, but the target is still not there".into())),
        Err(error) => refusals.push((rustup::WAY, format!("{error:#}"))),
    }
    match assemble::assemble(env, &current) {
        Ok(assembled) => Ok(assembled),
        Err(error) => {
            refusals.push((assemble::WAY, format!("{error:#}")));
            bail!(no_way(&refusals))
        }
    }
}

/// The toolchain that `rustc` on the path belongs to.
fn current(env: &Env) -> Result<Toolchain> {
    let mut command = env.command("rustc");
    command.args(["--print", "sysroot"]);
    let answer = process::ask(command).context("there is no Rust here: install it from https://rustup.rs")?;
    Ok(Toolchain::at(answer.trim()))
}

/// Says what was tried, and what a person can do.
fn no_way(refusals: &[(&str, String)]) -> String {
    let tried: String = refusals.iter().map(|(way, why)| format!("\n\n  {way}:\n{}", indented(why.trim()))).collect();
    format!(
        "there is no Rust toolchain that compiles for {TARGET}, which plugins are made for; this was tried:{tried}\n\n\
         What to do: with a network, run `{}`; without one, put a toolchain that has the target on this machine \
         and name its folder in `SLIPWAY_RUST_TOOLCHAIN`",
        rustup::WAY.trim_matches('`'),
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_target_is_no_toolchain() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::at(folder.path());
        let library = folder.path().join("lib/rustlib/wasm32-wasip2/lib");
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::create_dir_all(&library).unwrap();
        std::fs::write(&toolchain.rustc, "").unwrap();
        std::fs::write(&toolchain.cargo, "").unwrap();
        assert!(!toolchain.is_complete());
        std::fs::write(library.join("libstd-1234.rlib"), "").unwrap();
        assert!(toolchain.is_complete());
    }

    #[test]
    fn a_message_tells_each_way_and_the_way_out() {
        let message = no_way(&[("`rustup x`", "no network\nat all".into()), ("packages", "no apt".into())]);
        assert!(
            message.contains("  `rustup x`:\n    no network\n    at all\n\n  packages:\n    no apt\n\nWhat"),
            "{message}"
        );
    }
}
