//! Where files are: the checked-out revision and the artifacts of earlier stages.
//!
//! A component sees them at `/work` and `/inputs`, and reads and writes them with
//! [`std::fs`]. Asked for here, the same code also works on the fake's folders.

use std::path::PathBuf;

use crate::host;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;

/// Returns the path of a file of the revision, by its path relative to `/work`.
#[must_use]
pub fn path(relative: &str) -> PathBuf {
    host::with(|host| host.workspace()).join(relative)
}

/// Returns the path of an artifact of an earlier stage.
#[must_use]
pub fn input(stage: &str, name: &str) -> PathBuf {
    host::with(|host| host.inputs()).join(stage).join(name)
}
