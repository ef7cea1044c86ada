//! What runs inside the host: the built-in plugins, the guests of the tests, the demo app.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::env::Env;
use crate::files;
use crate::metadata::{Metadata, Target};
use crate::process;
use crate::toolchain::{self, TARGET, Toolchain};
use crate::ui::{self, Mark, Step};

/// Builds everything that is a component: plugins, guests of the tests, demo app.
///
/// Puts the plugins into `target/plugins`, where the build of `slipway` takes them from, and
/// the rest into `target/guests`. Files whose contents did not change are left alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Runs the command.
pub(crate) fn run(env: &Env, _: &Arguments) -> Result<ExitCode> {
    let toolchain = toolchain::ensure(env)?;
    build(env, &toolchain)?;
    ui::line(&format!("plugins: {}", env.plugins().display()));
    ui::line(&format!("guests:  {}", env.guests().display()));
    Ok(ExitCode::SUCCESS)
}

/// Builds all of them.
pub(crate) fn build(env: &Env, toolchain: &Toolchain) -> Result<()> {
    forget_other_toolchains(&env.guests_target(), &toolchain.identity()?)?;
    plugins(env, toolchain)?;
    guests(env, toolchain)?;
    app(env, toolchain)
}

/// Removes what was compiled with a toolchain whose standard library was another one: this
/// one's compiler would not find the crates in it.
fn forget_other_toolchains(target: &Path, identity: &str) -> Result<()> {
    let record = target.join("toolchain");
    if fs::read_to_string(&record).is_ok_and(|last| last == identity) {
        return Ok(());
    }
    let compiled = target.join(TARGET);
    if compiled.is_dir() {
        fs::remove_dir_all(&compiled).with_context(|| format!("cannot remove `{}`", compiled.display()))?;
    }
    fs::create_dir_all(target)?;
    fs::write(&record, identity).with_context(|| format!("cannot write `{}`", record.display()))
}

/// Builds the plugins: `plugin-cargo` becomes `cargo.wasm`.
fn plugins(env: &Env, toolchain: &Toolchain) -> Result<()> {
    let step = Step::new("build the plugins");
    let metadata = Metadata::of(env, &env.root)?;
    let mut found = Vec::new();
    for package in &metadata.packages {
        let Some(name) = package.name.strip_prefix("plugin-") else { continue };
        let file = package.targets.iter().find_map(Target::component);
        let file = file.with_context(|| format!("package `{}` makes no component", package.name))?;
        found.push(Component { name: name.to_owned(), built: built(env, "guest").join(file) });
    }
    let mut arguments = vec!["--profile=guest".to_owned(), "--lib".to_owned()];
    arguments.extend(found.iter().map(|plugin| format!("--package=plugin-{}", plugin.name)));
    compile(env, toolchain, &step, &env.root, &arguments)?;
    collect(step, &found, &env.plugins())
}

/// Builds the guests of the tests, which are the examples of a workspace of their own.
fn guests(env: &Env, toolchain: &Toolchain) -> Result<()> {
    let step = Step::new("build the guests of the tests");
    let folder = env.root.join("tests").join("guests");
    let metadata = Metadata::of(env, &folder)?;
    let examples = metadata.packages.iter().flat_map(|package| &package.targets).filter(|target| target.is("example"));
    let found: Vec<Component> = examples
        .filter_map(|target| {
            let built = built(env, "guest").join("examples").join(target.component()?);
            Some(Component { name: target.name.clone(), built })
        })
        .collect();
    compile(env, toolchain, &step, &folder, &["--profile=guest".into(), "--examples".into()])?;
    collect(step, &found, &env.guests())
}

/// Builds the demo app, as a pipeline would.
fn app(env: &Env, toolchain: &Toolchain) -> Result<()> {
    let step = Step::new("build the demo app");
    let folder = env.root.join("tests").join("app");
    compile(env, toolchain, &step, &folder, &["--release".into(), "--locked".into()])?;
    let changed = files::copy_if_changed(&built(env, "release").join("hello.wasm"), &env.app())?;
    step.end(Mark::Good, if changed { "1 changed" } else { "" });
    Ok(())
}

/// A component, and where the build leaves it.
struct Component {
    name: String,
    built: PathBuf,
}

fn built(env: &Env, profile: &str) -> PathBuf {
    env.guests_target().join(TARGET).join(profile)
}

fn compile(env: &Env, toolchain: &Toolchain, step: &Step, folder: &Path, arguments: &[String]) -> Result<()> {
    let mut command = toolchain.cargo(env);
    command
        .args(["build", "--target", TARGET])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", env.guests_target())
        // It needs a standard library with bitcode, which not every toolchain has for this target.
        .env("CARGO_PROFILE_GUEST_LTO", "off");
    process::run(step, command).with_context(|| format!("cannot build the components of `{}`", folder.display()))?;
    Ok(())
}

/// Copies what was built, and removes what is no longer built.
fn collect(step: Step, components: &[Component], folder: &Path) -> Result<()> {
    if components.is_empty() {
        bail!("there is no component for `{}`", folder.display());
    }
    let mut changed = 0;
    for component in components {
        let target = folder.join(format!("{}.wasm", component.name));
        changed += usize::from(files::copy_if_changed(&component.built, &target)?);
    }
    let names: Vec<String> = components.iter().map(|component| component.name.clone()).collect();
    files::remove_others(folder, "wasm", &names)?;
    let result = match changed {
        0 => format!("{} components", components.len()),
        _ => format!("{} components, {changed} changed", components.len()),
    };
    step.end(Mark::Good, &result);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_toolchain_compiled_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (target, compiled) = (folder.path().join("guests"), folder.path().join("guests").join(TARGET));
        forget_other_toolchains(&target, "one").unwrap();
        fs::create_dir(&compiled).unwrap();
        forget_other_toolchains(&target, "one").unwrap();
        assert!(compiled.is_dir());
        forget_other_toolchains(&target, "two").unwrap();
        assert!(!compiled.exists());
        fs::create_dir(&compiled).unwrap();
        forget_other_toolchains(&target, "two").unwrap();
        assert!(compiled.is_dir());
    }
}
