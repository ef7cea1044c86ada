//! The contract keeps its word: what was released of `wit/` stays usable.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect has failed"
)]

use std::path::{Path, PathBuf};
use wit_component::semver_check;
use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId};

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// The files of a folder as one text, with another version in the package's name, so that two
/// versions can stand beside each other; the check does not look at versions.
fn text(folder: &Path, version: &str) -> String {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    let mut text = format!("package slipway:stage@{version};\n");
    for file in files {
        let file = std::fs::read_to_string(file).unwrap();
        text.extend(file.lines().filter(|line| !line.starts_with("package ")).flat_map(|line| [line, "\n"]));
    }
    text
}

/// Checks every world of the frozen text against the same one of the text of now.
fn check(frozen: &str, now: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let mut push = |name: &str, text: &str| {
        let group = UnresolvedPackageGroup::parse(name, text).map_err(|(_, error)| format!("{error:?}"))?;
        resolve.push_group(group).map_err(|error| format!("{error:#}"))
    };
    let (frozen, now) = (push("frozen.wit", frozen)?, push("now.wit", now)?);
    for world in ["builder", "tester", "deployer"] {
        let find = |package: wit_parser::PackageId| -> Result<WorldId, String> {
            let worlds = &resolve.packages[package].worlds;
            worlds.get(world).copied().ok_or_else(|| format!("there is no world `{world}` any more"))
        };
        semver_check(resolve.clone(), find(frozen)?, find(now)?)
            .map_err(|error| format!("world `{world}` is no longer compatible: {error:#}"))?;
    }
    Ok(())
}

#[test]
fn components_of_every_released_version_still_fit() {
    let now = text(&wit(), "0.1.999");
    let mut versions = 0;
    for entry in std::fs::read_dir(wit().join("frozen")).unwrap() {
        let folder = entry.unwrap().path();
        let version = folder.file_name().unwrap().to_str().unwrap().to_owned();
        check(&text(&folder, &version), &now).unwrap_or_else(|why| panic!("{version}: {why}"));
        versions += 1;
    }
    assert!(versions > 0, "nothing is frozen");
}

#[test]
fn an_incompatible_change_is_noticed_and_a_compatible_one_is_not() {
    let frozen = text(&wit().join("frozen/0.1.0"), "0.1.0");
    let now = text(&wit(), "0.1.999");
    let changed = |from: &str, to: &str| {
        assert!(now.contains(from), "{from}");
        check(&frozen, &now.replacen(from, to, 1))
    };
    for (from, to) in [
        // Another type of a parameter, a field less, an import less, an export more.
        ("parameter: func(name: string)", "parameter: func(name: u32)"),
        ("        retryable: bool,\n", ""),
        ("    remaining-ms: func() -> u64;\n", ""),
        ("    export build: func()", "    export extra: func();\n    export build: func()"),
    ] {
        assert!(changed(from, to).is_err(), "{from}");
    }
    changed("    remaining-ms: func() -> u64;\n", "    remaining-ms: func() -> u64;\n    more: func();\n").unwrap();
}
