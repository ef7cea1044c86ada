//! The standard library for the target, compiled from the source that the packages have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::{TARGET, Toolchain};
use crate::env::Env;
use crate::files;
use crate::process;
use crate::ui::Step;

/// The crate for whose sake cargo builds the standard library.
const SEED: &str = "slipway_seed";

/// Builds the standard library in `work` and returns its crates.
pub(super) fn build(env: &Env, step: &Step, toolchain: &Toolchain, work: &Path, libc: &Path) -> Result<Vec<PathBuf>> {
    let (package, target) = (work.join("seed"), work.join("seed-target"));
    fs::create_dir_all(package.join("src"))?;
    fs::write(
        package.join("Cargo.toml"),
        format!("[package]\nname = \"{SEED}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n"),
    )?;
    // A library is not linked, so that no linker has to be found before there is a toolchain.
    fs::write(package.join("src").join("lib.rs"), "")?;

    let mut command = toolchain.cargo(env);
    command
        .args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain, libc))
        .env_remove("RUSTC_WRAPPER")
        // `-Z` is for nightly compilers; the distribution's own build passes it in the same way.
        .env("RUSTC_BOOTSTRAP", "1");
    process::run(step, command).with_context(|| format!("cannot build the standard library for {TARGET}"))?;

    let built = files::list(&target.join(TARGET).join("release").join("deps"))?;
    let crates: Vec<PathBuf> = built.into_iter().filter(|file| is_wanted(file)).collect();
    if !crates.iter().any(|file| super::is_std(file)) {
        bail!("cargo did not build the standard library for {TARGET}");
    }
    Ok(crates)
}

/// The compiler's options, in the form that lets folders have spaces.
fn flags(toolchain: &Toolchain, libc: &Path) -> String {
    let source = toolchain.root.join("lib/rustlib/src/rust");
    [
        format!("-Lnative={}", libc.display()),
        "-Clink-self-contained=no".into(),
        // Components name the source in messages of panics; where it lay on this machine is
        // nobody's business, and would make the same component another one elsewhere.
        format!("--remap-path-prefix={}=/rustc", source.display()),
        format!("--remap-path-prefix={}=/rustc", source.canonicalize().unwrap_or_default().display()),
    ]
    .join("\x1f")
}

fn is_wanted(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".rlib") && !name.starts_with(&format!("lib{SEED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_no_part_of_the_standard_library() {
        assert!(is_wanted(Path::new("deps/libstd-12.rlib")));
        assert!(!is_wanted(Path::new("deps/libslipway_seed-12.rlib")));
        assert!(!is_wanted(Path::new("deps/libstd-12.rmeta")));
    }
}
