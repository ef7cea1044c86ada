//! The stage `cargo@1`: builds a Rust package and stores what cargo made of it.
//!
//! It never builds anything itself: it runs cargo, by the name of a toolchain entry that
//! the pipeline granted, and stores the files that cargo says it made.

use slipway_sdk::cargo::{Build, MESSAGE_FORMAT, Product};
use slipway_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// How to build.
#[config]
struct Config {
    /// The package to build; cargo's choice for the directory when it is not given.
    package: Option<String>,
    /// The target, such as `wasm32-wasip2`; the tool's own machine when it is not given.
    target: Option<String>,
    /// The profile.
    #[serde(default = "release")]
    profile: String,
    /// Features to switch on.
    #[serde(default)]
    features: Vec<String>,
    /// Whether to switch off the default features.
    #[serde(default)]
    no_default_features: bool,
    /// Where the package or workspace is, relative to the revision.
    #[serde(default)]
    directory: String,
    /// Whether `Cargo.lock` must be up to date. By default it must where there is one.
    locked: Option<bool>,
    /// The toolchain entry that has cargo.
    #[serde(default = "rust")]
    tool: String,
    /// The files to store, by name; everything that cargo made when it is not given.
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
    capabilities: [Capability::tools(&[], "runs cargo")],
    build: build,
}

fn build(config: &Config) -> Result<(), Failure> {
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
