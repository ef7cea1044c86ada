//! What the host knows of a plugin: what its bytes show, and what it says of itself.

use crate::grant::{Interface, Request};
use std::collections::BTreeSet;
use std::fmt;

/// The kind of a stage, which is the world that its component targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Makes artifacts of a revision (world `builder`).
    Build,
    /// Judges a revision (world `tester`).
    Test,
    /// Changes what runs (world `deployer`).
    Deploy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Build, Self::Test, Self::Deploy];

    /// The word used in JSON, SQL and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Deploy => "deploy",
        }
    }

    /// The world of `wit/worlds.wit`.
    pub const fn world(self) -> &'static str {
        match self {
            Self::Build => "builder",
            Self::Test => "tester",
            Self::Deploy => "deployer",
        }
    }

    /// Reads the word written by [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The exports of the world beside `describe`.
    pub const fn exports(self) -> &'static [&'static str] {
        match self {
            Self::Build => &["build"],
            Self::Test => &["test"],
            Self::Deploy => &["plan", "apply", "rollback"],
        }
    }

    /// The Slipway interfaces that the world may import.
    pub const fn interfaces(self) -> &'static [Interface] {
        use Interface::{Apps, Artifacts, Http, Log, Reports, Run, Secrets, Tools};
        match self {
            Self::Build | Self::Test => &[Run, Log, Artifacts, Tools, Reports, Secrets, Http],
            Self::Deploy => &[Run, Log, Artifacts, Reports, Secrets, Http, Apps],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A plugin as the host has come to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name, as it says.
    pub name: String,
    /// Its version, as it says.
    pub version: String,
    /// Its kind, from what its bytes export.
    pub kind: Kind,
    /// The Slipway interfaces that its bytes import.
    pub imports: BTreeSet<Interface>,
    /// The capabilities it asks for, as it says.
    pub requests: Vec<Request>,
}
