//! What an assembled toolchain was made from, written into it when it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Grows when toolchains are put together in another way, so that old ones are not used.
const RECIPE: u32 = 1;

const FILE: &str = "slipway-toolchain.json";

/// The record.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    recipe: u32,
    /// The compiler's version.
    pub(super) rust: String,
    /// The packages and their versions.
    pub(super) packages: BTreeMap<String, String>,
    /// The toolchain that lent cargo and the linkers.
    pub(super) lender: String,
}

impl Stamp {
    /// Begins a record.
    pub(super) fn new(rust: String, packages: BTreeMap<String, String>) -> Self {
        Self { recipe: RECIPE, rust, packages, lender: String::new() }
    }

    /// Reads the record of a toolchain that is made as this program makes them.
    pub(super) fn read(root: &Path) -> Option<Self> {
        let stamp: Self = serde_json::from_slice(&fs::read(root.join(FILE)).ok()?).ok()?;
        (stamp.recipe == RECIPE).then_some(stamp)
    }

    /// Writes the record.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(root.join(FILE), text + "\n").context("cannot write what the toolchain was made from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_of_another_recipe_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let mut stamp = Stamp::new("1.96.0".into(), BTreeMap::from([("rustc".into(), "1.96.0-1".into())]));
        assert_eq!(Stamp::read(folder.path()), None);
        stamp.write(folder.path()).unwrap();
        assert_eq!(Stamp::read(folder.path()).as_ref(), Some(&stamp));
        stamp.recipe = 0;
        stamp.write(folder.path()).unwrap();
        assert_eq!(Stamp::read(folder.path()), None);
    }
}
