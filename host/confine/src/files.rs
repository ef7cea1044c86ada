//! What of the file system a process keeps (Landlock, `landlock(7)`), and whom it may speak to.
//!
//! A list of what is allowed. It holds below whatever namespaces and permissions say, and for all that the
//! process starts.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What has to be there: with less, nothing can be renamed from one folder to another, which builds do
/// all the time (Linux 5.19).
const NEEDED: ABI = ABI::V2;
/// What is used where it is there (Linux 6.10): cutting files off, and calls to devices.
const WANTED: ABI = ABI::V5;
/// From where on signals and abstract sockets end at the border (Linux 6.12).
const SCOPED: ABI = ABI::V6;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Files and folders that can be read, and run.
    pub read: Vec<PathBuf>,
    /// Files and folders that can be read, run and changed.
    pub write: Vec<PathBuf>,
    /// Whether connections over TCP can be opened. Where the kernel cannot refuse them (before Linux 6.7)
    /// this says nothing.
    pub connect: bool,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not take it.
    #[error("the kernel does not keep processes to their files (Landlock, Linux 5.19 or later)")]
    Kernel(#[source] RulesetError),
    /// It took it and does nothing.
    #[error("the kernel does not keep processes to their files (Landlock is off)")]
    Off,
}

/// Gives up all files but these, for this thread and whatever it starts. Paths that are not there are
/// passed over. Takes `no_new_privs` with it.
pub fn keep_to(files: &Files) -> Result<(), Error> {
    let status = rules(files.connect)
        .and_then(|rules| rules.add_rules(path_beneath_rules(&files.read, AccessFs::from_read(WANTED))))
        .and_then(|rules| rules.add_rules(path_beneath_rules(&files.write, AccessFs::from_all(WANTED))))
        .and_then(RulesetCreated::restrict_self)
        .map_err(Error::Kernel)?;
    if status.ruleset == RulesetStatus::NotEnforced { Err(Error::Off) } else { Ok(()) }
}

/// Whether the kernel can do it.
pub fn check() -> Result<(), Error> {
    rules(true).map(drop).map_err(Error::Kernel)
}

fn rules(connect: bool) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(SCOPED))?;
    if !connect {
        rules = rules.handle_access(AccessNet::ConnectTcp)?;
    }
    rules.create()
}
