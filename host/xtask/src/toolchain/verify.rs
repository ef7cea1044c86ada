//! A look at whether a toolchain does what it is for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{TARGET, Toolchain};
use crate::env::Env;
use crate::process;
use crate::ui::Step;

/// What a component begins with: the magic number, then the version and the layer.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

const MANIFEST: &str = "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n";

const MAIN: &str = "fn main() {\n    println!(\"hello\");\n}\n";

/// A test in the documentation needs rustdoc as well as the compiler.
const LIB: &str = "//! ```\n//! assert_eq!(hello::one(), 1);\n//! ```\n\n/// One.\npub fn one() -> u32 {\n    1\n}\n";

/// Compiles a small package for the target and tests it on this machine, in `work`.
pub(super) fn verify(env: &Env, step: &Step, toolchain: &Toolchain, work: &Path) -> Result<()> {
    let (package, target) = (work.join("hello"), work.join("hello-target"));
    fs::create_dir_all(package.join("src"))?;
    fs::write(package.join("Cargo.toml"), MANIFEST)?;
    fs::write(package.join("src").join("main.rs"), MAIN)?;
    fs::write(package.join("src").join("lib.rs"), LIB)?;
    let cargo = |arguments: &[&str]| {
        let mut command = toolchain.cargo(env);
        command.args(arguments).current_dir(&package).env("CARGO_TARGET_DIR", &target);
        process::run(step, command)
    };
    cargo(&["build", "--release", "--target", TARGET]).context("it cannot compile a small program")?;
    let file = target.join(TARGET).join("release").join("hello.wasm");
    let bytes = fs::read(&file).context("compiling a small program left no file")?;
    if !bytes.starts_with(&COMPONENT) {
        bail!("what it compiles is not a component");
    }
    cargo(&["test"]).context("it cannot test a small package on this machine")?;
    Ok(())
}
