//! Where things are: the repository, and the folders that outlive a clone.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The folders that commands work in.
#[derive(Debug)]
pub(crate) struct Env {
    /// The repository.
    pub(crate) root: PathBuf,
    /// What is kept on this machine between clones.
    pub(crate) cache: PathBuf,
    /// Where cargo builds the host.
    pub(crate) target: PathBuf,
    cargo: PathBuf,
}

impl Env {
    /// Finds the folders, from the variables and the current folder.
    pub(crate) fn find() -> Result<Self> {
        let here = env::current_dir().context("cannot tell the current folder")?;
        let cache = user_cache(absolute("XDG_CACHE_HOME"), absolute("HOME"))
            .context("there is no folder to keep things in: set `HOME` or `XDG_CACHE_HOME`")?
            .join("slipway");
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
            Some(target) => std::path::absolute(target).context("`CARGO_TARGET_DIR` is no folder")?,
            None => cache.join("target"),
        };
        Ok(Self {
            root: root(&here)?,
            cache,
            target,
            cargo: env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
        })
    }

    /// Where the `slipway` of this repository is built to.
    pub(crate) fn slipway(&self) -> PathBuf {
        self.target.join("debug").join("slipway")
    }

    /// Where cargo builds what runs inside the host.
    pub(crate) fn guests_target(&self) -> PathBuf {
        self.cache.join("guests")
    }

    /// Where toolchains are put together.
    pub(crate) fn toolchains(&self) -> PathBuf {
        self.cache.join("toolchains")
    }

    /// Where tools that cargo installs go.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Where the built-in plugins are taken from.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.root.join("target").join("plugins")
    }

    /// Where the components of the tests are taken from.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("target").join("guests")
    }

    /// The demo app, as a component.
    pub(crate) fn app(&self) -> PathBuf {
        self.guests().join("app").join("hello.wasm")
    }

    /// Begins a call of cargo with the toolchain that builds the host.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(&self.cargo);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Begins a call of a program in the repository's folder, free of what cargo told this one.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TERM_COLOR", "never");
        forget_caller(&mut command);
        command
    }
}

/// Removes the variables that `cargo run` sets for this program: build scripts ask for some
/// of them, and would be run again each time that a person calls cargo in between.
fn forget_caller(command: &mut Command) {
    let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| own.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let Some(paths) = env::var_os("LD_LIBRARY_PATH") else { return };
    let built = env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let others = env::split_paths(&paths)
        .filter(|path| !built.as_ref().is_some_and(|built| path.starts_with(built)))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "rustlib"))
        .filter(|path| !path.as_os_str().is_empty());
    match env::join_paths(others) {
        Ok(others) if !others.is_empty() => command.env("LD_LIBRARY_PATH", others),
        _ => command.env_remove("LD_LIBRARY_PATH"),
    };
}

/// Finds the repository: what cargo says this program is a part of, else around `here`.
fn root(here: &Path) -> Result<PathBuf> {
    let told = absolute("CARGO_MANIFEST_DIR");
    let starts = told.iter().map(PathBuf::as_path).chain([here]);
    starts
        .flat_map(Path::ancestors)
        .find(|folder| folder.join("host/xtask/Cargo.toml").is_file())
        .map(Path::to_owned)
        .context("this is not Slipway's repository: change to its folder")
}

/// The folder that the user keeps caches in.
fn user_cache(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    xdg.or_else(|| Some(home?.join(".cache")))
}

/// A variable's value, where it is an absolute path.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_wants_it() {
        assert_eq!(user_cache(Some("/x".into()), Some("/home".into())), Some("/x".into()));
        assert_eq!(user_cache(None, Some("/home".into())), Some("/home/.cache".into()));
        assert_eq!(user_cache(None, None), None);
    }

    #[test]
    fn the_repository_is_found_from_within() {
        let found = root(Path::new("/")).unwrap();
        assert!(found.join("wit").is_dir());
    }
}
