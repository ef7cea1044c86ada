//! What cargo says a workspace has.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::env::Env;
use crate::process;

/// The packages of a workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// The packages.
    pub(crate) packages: Vec<Package>,
}

/// A package.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// What cargo can build of it.
    pub(crate) targets: Vec<Target>,
}

/// Something that cargo can build.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// `lib`, `test`, `example` and so on; for libraries, what kinds of them.
    pub(crate) kind: Vec<String>,
    /// What the compiler makes of it.
    pub(crate) crate_types: Vec<String>,
}

impl Metadata {
    /// Asks cargo about the workspace in a folder.
    pub(crate) fn of(env: &Env, folder: &Path) -> Result<Self> {
        let mut command = env.cargo();
        command.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(folder);
        let answer = process::ask(command)?;
        serde_json::from_str(&answer).context("cannot read what `cargo metadata` says")
    }

    /// The names of the test targets of all packages but one.
    pub(crate) fn test_targets_beside(&self, package: &str) -> Vec<String> {
        let others = self.packages.iter().filter(|other| other.name != package);
        let targets = others.flat_map(|other| &other.targets).filter(|target| target.is("test"));
        targets.map(|target| target.name.clone()).collect()
    }

    /// Finds a package.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }
}

impl Target {
    /// Whether it is of this kind.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|found| found == kind)
    }

    /// The name of the component that is made of it, where one is.
    pub(crate) fn component(&self) -> Option<String> {
        let makes = |kind: &str| self.crate_types.iter().any(|found| found == kind);
        if makes("cdylib") {
            return Some(format!("{}.wasm", self.name.replace('-', "_")));
        }
        makes("bin").then(|| format!("{}.wasm", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_as_the_compiler_names_it() {
        let target = |kind: &str| Target {
            name: "says-hello".into(),
            kind: vec!["example".into()],
            crate_types: vec!["rlib".into(), kind.into()],
        };
        assert_eq!(target("cdylib").component().as_deref(), Some("says_hello.wasm"));
        assert_eq!(target("bin").component().as_deref(), Some("says-hello.wasm"));
        assert_eq!(target("rlib").component(), None);
        assert!(target("bin").is("example"));
    }
}
