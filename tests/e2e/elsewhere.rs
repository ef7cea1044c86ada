//! A program of somebody else, with a pipeline file of ten lines and no other change.

use crate::support::{Repository, root, slipway};
use std::path::{Path, PathBuf};
use std::process::Command;

const PIPELINE: &str = r#"name = "strsim"

[stages.build]
uses = "cargo@1"
grant.tools = ["rust"]

[stages.test]
needs = ["build"]
uses = "cargo-test@1"
grant.tools = ["rust"]
"#;

/// Where cargo keeps the source of a package that this workspace depends on. It was fetched to
/// build the host, so the test needs no network.
fn source_of(package: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package).unwrap();
    Path::new(found["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

#[test]
fn a_program_of_somebody_else_is_built_and_tested() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Repository::new();
    // `strsim` is in every build of this workspace (by `clap`), needs no other package, and has
    // tests of every kind: in the library, beside it, in its documentation.
    repository.copy(&source_of("strsim"));
    repository.write("slipway.toml", PIPELINE.as_bytes());
    let output = slipway().arg("run").arg(repository.path()).env("XDG_CACHE_HOME", cache.path()).output().unwrap();
    let out = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}");
    for wanted in ["Compiling strsim", "✓ build  passed", "Doc-tests strsim", "✓ test  passed"] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
}
