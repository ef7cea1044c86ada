//! The suites there are.

use std::fmt::Write as _;

use anyhow::{Result, bail};

/// A part of the tests that can be run by name.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: &'static str,
    about: &'static str,
    pub(super) runs: Runs,
    pub(super) needs: Needs,
}

/// What running a suite means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// The checks that look at the source.
    Lints,
    /// The tests of each crate.
    Units,
    /// The target of the package of tests that has the suite's name.
    Target,
}

/// What has to be there first; each needs all that come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    /// Nothing but the source.
    Nothing,
    /// The components: the build of `slipway` takes the plugins in.
    Guests,
    /// What native tools run in.
    Sandbox,
}

/// All suites, in the order in which they are run: the quick ones first.
pub(super) const SUITES: [Suite; 9] = [
    Suite {
        name: "lint",
        about: "formatting, clippy, documentation, features, licenses and advisories of dependencies",
        runs: Runs::Lints,
        needs: Needs::Guests,
    },
    Suite { name: "unit", about: "the tests of each crate", runs: Runs::Units, needs: Needs::Sandbox },
    Suite { name: "api", about: "the HTTP API of a real server", runs: Runs::Target, needs: Needs::Sandbox },
    Suite { name: "e2e", about: "from a commit to a live app", runs: Runs::Target, needs: Needs::Sandbox },
    Suite { name: "evil", about: "plugins that mean harm", runs: Runs::Target, needs: Needs::Sandbox },
    Suite {
        name: "tools",
        about: "native tools in their sandbox, layer by layer, and what a worker gives up",
        runs: Runs::Target,
        needs: Needs::Sandbox,
    },
    Suite { name: "secrets", about: "used, and seen nowhere", runs: Runs::Target, needs: Needs::Sandbox },
    Suite { name: "recovery", about: "processes killed at any point", runs: Runs::Target, needs: Needs::Sandbox },
    Suite {
        name: "docs",
        about: "the commands that the documentation tells",
        runs: Runs::Target,
        needs: Needs::Sandbox,
    },
];

/// Returns the suites of these names, in their usual order; all if there is no name.
pub(super) fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    if let Some(unknown) = names.iter().find(|name| SUITES.iter().all(|suite| suite.name != **name)) {
        let known = SUITES.map(|suite| format!("`{}`", suite.name)).join(", ");
        bail!("there is no suite `{unknown}`: choose from {known}");
    }
    Ok(SUITES.iter().filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name)).collect())
}

/// The suites as lines.
pub(super) fn list() -> String {
    SUITES.map(|suite| format!("{:<10}{}", suite.name, suite.about)).join("\n")
}

/// What `--help` adds.
pub(super) fn help() -> String {
    let mut text = "Suites:\n".to_owned();
    for line in list().lines() {
        writeln!(text, "  {line}").expect("a string takes everything");
    }
    text + "\nExamples:\n  cargo xtask test\n  cargo xtask test lint unit\n  cargo xtask test e2e -- rolled_back"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&str]) -> Result<Vec<&'static str>> {
        let chosen: Vec<String> = chosen.iter().map(|name| (*name).to_owned()).collect();
        Ok(choose(&chosen)?.into_iter().map(|suite| suite.name).collect())
    }

    #[test]
    fn no_name_means_all() {
        assert_eq!(names(&[]).unwrap(), ["lint", "unit", "api", "e2e", "evil", "tools", "secrets", "recovery", "docs"]);
    }

    #[test]
    fn a_suite_runs_once_and_in_its_turn() {
        assert_eq!(names(&["e2e", "unit", "e2e"]).unwrap(), ["unit", "e2e"]);
    }

    #[test]
    fn an_unknown_name_is_told_with_those_there_are() {
        let message = names(&["unit", "fast"]).unwrap_err().to_string();
        assert!(message.starts_with("there is no suite `fast`: choose from `lint`, `unit`, `api`, "), "{message}");
    }
}
