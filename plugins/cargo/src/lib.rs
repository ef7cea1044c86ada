//! The stage `cargo@1`: builds a Rust package and stores what cargo made of it.
//!
//! It never builds anything itself: it runs cargo, by the name of a toolchain entry that
//! the pipeline granted, and stores the files that cargo says it made.

use slipway_sdk::cargo::{Build, MESSAGE_FORMAT, Product, check_directory, check_word};
use slipway_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// What cargo is given as a value: never an option of its own.
const WORD: &str = r"^[A-Za-z0-9_][A-Za-z0-9_.+/@-]*$";
/// A directory of the revision.
const DIRECTORY: &str = r"^([^-/\x00-\x1f\x7f][^\x00-\x1f\x7f]*)?$";
/// The name of a toolchain entry.
const TOOL: &str = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$";
/// The name of a file.
const FILE: &str = r"^[^-/\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$";

/// How to build.
#[config]
struct Config {
    /// The package to build; cargo's choice for the directory when it is not given.
    #[schemars(regex(pattern = WORD))]
    package: Option<String>,
    /// The target, such as `wasm32-wasip2`; the tool's own machine when it is not given.
    #[schemars(regex(pattern = WORD))]
    target: Option<String>,
    /// The profile.
    #[serde(default = "release")]
    #[schemars(regex(pattern = WORD))]
    profile: String,
    /// Features to switch on.
    #[serde(default)]
    #[schemars(inner(regex(pattern = WORD)))]
    features: Vec<String>,
    /// Whether to switch off the default features.
    #[serde(default)]
    no_default_features: bool,
    /// Where the package or workspace is, relative to the revision.
    #[serde(default)]
    #[schemars(regex(pattern = DIRECTORY))]
    directory: String,
    /// Whether `Cargo.lock` must be up to date. By default it must where there is one.
    locked: Option<bool>,
    /// The toolchain entry that has cargo.
    #[serde(default = "rust")]
    #[schemars(regex(pattern = TOOL))]
    tool: String,
    /// The files to store, by name; everything that cargo made when it is not given.
    #[schemars(inner(regex(pattern = FILE)))]
    artifacts: Option<Vec<String>>,
}

fn release() -> String {
    "release".into()
}

fn rust() -> String {
    "rust".into()
}

slipway_sdk::builder! {
    name: "cargo",
    summary: "Builds a Rust package with cargo and stores the programs and components it made",
    capabilities: [Capability::tools(&[], "runs cargo").network(&["*:*"])],
    build: build,
}

fn build(config: &Config) -> Result<(), Failure> {
    check(config)?;
    let products = log::Step::within("cargo build", |step| compile(config, step))?;
    let wanted = choose(&products, config.artifacts.as_deref())?;
    if wanted.is_empty() {
        warn!("cargo made no program and no component, so there is nothing to store");
    }
    for (name, path) in &wanted {
        let artifact = artifacts::put_file(name, media_type(name), path)?;
        info!(digest = artifact.digest, bytes = artifact.size; "stored `{name}`");
    }
    let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    run::set_output("artifacts", names.join(","))
}

/// Refuses what the schema refuses, for whoever did not ask it.
fn check(config: &Config) -> Result<(), Failure> {
    config.package.iter().try_for_each(|package| check_word("package", package))?;
    config.target.iter().try_for_each(|target| check_word("target", target))?;
    check_word("profile", &config.profile)?;
    config.features.iter().try_for_each(|feature| check_word("features", feature))?;
    check_directory("directory", &config.directory)
}

/// Runs cargo and returns what it made.
fn compile(config: &Config, step: &log::Step) -> Result<Vec<Product>, Failure> {
    let mut build = Build::new();
    let mut process = tools::command(&config.tool, "cargo")
        .args(arguments(config))
        .env("CARGO_TERM_COLOR", "never")
        .directory(&config.directory)
        .start()?;
    let mut crates = 0;
    for line in process.lines() {
        if build.read(&line) {
            crates += 1;
            step.progress(crates, None);
        }
    }
    build.check(process.wait()?, "cargo build")?;
    Ok(build.products().to_vec())
}

/// Returns cargo's arguments. A value is joined to its option, so that none can be taken
/// for an option of its own.
fn arguments(config: &Config) -> Vec<String> {
    let mut arguments = vec!["build".into(), MESSAGE_FORMAT.into()];
    arguments.push(format!("--profile={}", config.profile));
    arguments.extend(config.package.iter().map(|name| format!("--package={name}")));
    arguments.extend(config.target.iter().map(|name| format!("--target={name}")));
    if !config.features.is_empty() {
        arguments.push(format!("--features={}", config.features.join(",")));
    }
    if config.no_default_features {
        arguments.push("--no-default-features".into());
    }
    let lock_file = workspace::path(&config.directory).join("Cargo.lock");
    if config.locked.unwrap_or_else(|| lock_file.exists()) {
        arguments.push("--locked".into());
    }
    arguments
}

/// Returns name and path, relative to the workspace, of the files to store.
fn choose<'a>(products: &'a [Product], names: Option<&[String]>) -> Result<Vec<(&'a str, &'a str)>, Failure> {
    let made: Vec<(&str, &str)> = products
        .iter()
        .map(|product| {
            let path = product.path.strip_prefix("/work/").unwrap_or(&product.path);
            (path.rsplit('/').next().unwrap_or(path), path)
        })
        .collect();
    let Some(names) = names else { return Ok(made) };
    names
        .iter()
        .map(|name| made.iter().find(|(made, _)| made == name).copied().ok_or_else(|| missing(name, &made)))
        .collect()
}

fn missing(name: &str, made: &[(&str, &str)]) -> Failure {
    let made: Vec<String> = made.iter().map(|(name, _)| format!("`{name}`")).collect();
    let made = if made.is_empty() { "nothing".into() } else { made.join(", ") };
    Failure::new("no-such-artifact", format!("cargo did not make `{name}`: it made {made}"))
}

fn media_type(name: &str) -> &'static str {
    if name.ends_with(".wasm") { "application/wasm" } else { "application/octet-stream" }
}
