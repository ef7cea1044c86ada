//! The stage `app@1`: releases a `wasi:http` component on the embedded app host.
//!
//! The new release runs beside the old one and has to answer its health check before it
//! gets any traffic. It has no say in what "healthy" means: the host asks, and the host
//! refuses to switch to a release that it did not see healthy.

use std::time::Duration;

use slipway_sdk::apps::Release;
use slipway_sdk::artifacts::Artifact;
use slipway_sdk::prelude::*;

#[cfg(test)]
mod tests;

/// The name of an app or a stage.
const NAME: &str = r"^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$";
/// The name of an artifact.
const FILE: &str = r"^[^/\x00-\x1f\x7f]+$";
/// The path of an address.
const PATH: &str = r"^/[\x21-\x7e]*$";

/// What to release, and when it is good.
#[config]
struct Config {
    /// The app's name, which is a part of its address.
    #[schemars(regex(pattern = NAME))]
    app: String,
    /// The stage whose artifact is released.
    #[serde(default = "build")]
    #[schemars(regex(pattern = NAME))]
    stage: String,
    /// The artifact's name. It can be left out where the stage stored one component.
    #[schemars(regex(pattern = FILE))]
    artifact: Option<String>,
    /// The path that answers with a status from 200 to 299 when all is well.
    #[serde(default = "health")]
    #[schemars(regex(pattern = PATH))]
    health: String,
    /// How long the release may take until it is healthy.
    #[serde(default = "startup_seconds")]
    #[schemars(range(max = 600))]
    startup_seconds: u32,
    /// How long it may take to be healthy again once it has the traffic.
    #[serde(default = "watch_seconds")]
    #[schemars(range(max = 600))]
    watch_seconds: u32,
}

fn build() -> String {
    "build".into()
}

fn health() -> String {
    "/health".into()
}

fn startup_seconds() -> u32 {
    20
}

fn watch_seconds() -> u32 {
    2
}

slipway_sdk::deployer! {
    name: "app",
    summary: "Releases a component on the embedded app host once it is healthy",
    capabilities: [Capability::apps(&[], "releases the app and gives it the traffic")],
    plan: plan,
    apply: apply,
    rollback: rollback,
}

/// Refuses what the schema refuses, for whoever did not ask it.
fn check(config: &Config) -> Result<(), Failure> {
    let refuse = |setting: &str, value: &str| {
        let message = format!("`{setting}` cannot be `{}`", value.escape_debug());
        Err(Failure::new("invalid-config", message).detail("path", format!("with.{setting}")))
    };
    for (setting, value) in [("app", &config.app), ("stage", &config.stage)] {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let inside = value.chars().all(|c| edge(c) || c == '-');
        if !inside || !value.starts_with(edge) || !value.ends_with(edge) || value.len() > 40 {
            return refuse(setting, value);
        }
    }
    if !config.health.starts_with('/') || !config.health.chars().all(|c| c.is_ascii_graphic()) {
        return refuse("health", &config.health);
    }
    Ok(())
}

fn plan(config: &Config) -> Result<(), Failure> {
    check(config)?;
    let artifact = component(config)?;
    let after = in_words(&version(), &artifact.digest);
    let object = format!("app `{}`", config.app);
    match apps::current(&config.app)? {
        None => reports::change("create", &object, None, Some(&after)),
        Some(current) if current.digest == artifact.digest => {
            info!("{object} runs this component already");
            Ok(())
        }
        Some(current) => {
            let before = in_words(&current.version, &current.digest);
            reports::change("replace", &object, Some(&before), Some(&after))
        }
    }
}

fn apply(config: &Config) -> Result<(), Failure> {
    check(config)?;
    let artifact = component(config)?;
    let release = match apps::current(&config.app)? {
        Some(current) if current.digest == artifact.digest => current,
        _ => match switch(config, &artifact)? {
            Some(release) => release,
            None => return Ok(()),
        },
    };
    log::Step::within("watch", |_| healthy(config, &release, config.watch_seconds))?;

    let address = apps::address(&config.app)?;
    info!(release = release.id; "app `{}` runs version {} at {address}", config.app, release.version);
    run::set_output("address", address)?;
    run::set_output("release", release.id)
}

fn rollback(config: &Config) -> Result<(), Failure> {
    match apps::restore(&config.app)? {
        Some(release) => info!("app `{}` runs version {} again", config.app, release.version),
        None => info!("app `{}` has no release, as before", config.app),
    }
    Ok(())
}

/// Starts the new release beside the old one and gives it the traffic. `None` when there is
/// nothing more to do: this run was interrupted after its switch, and another came since.
fn switch(config: &Config, artifact: &Artifact) -> Result<Option<Release>, Failure> {
    let release = apps::release(&config.app, &artifact.digest)?;
    log::Step::within("start", |_| healthy(config, &release, config.startup_seconds))?;
    match apps::switch(&release.id) {
        // The app host was started anew in between, and has to see it once more.
        Err(failure) if failure.code == "not-healthy" => {
            healthy(config, &release, config.startup_seconds)?;
            apps::switch(&release.id)?;
        }
        Err(failure) if failure.code == "replaced" => {
            info!("version {} had the traffic, and another run has released the app since", release.version);
            return Ok(None);
        }
        switched => switched?,
    }
    Ok(Some(release))
}

/// Asks a release how it is until it is well or the time is over.
fn healthy(config: &Config, release: &Release, seconds: u32) -> Result<(), Failure> {
    let health = apps::health(&release.id, &config.health, Duration::from_secs(seconds.into()))?;
    if health.healthy {
        return Ok(());
    }
    let answer = match health.status {
        0 => format!("did not answer: {}", health.message),
        status => format!("answered {status}: {}", health.message),
    };
    let message =
        format!("version {} of app `{}` is not healthy: `{}` {answer}", release.version, config.app, config.health);
    Err(Failure::new("unhealthy", message).detail("status", health.status).detail("release", &release.id))
}

/// Finds the component to release among the stage's artifacts.
fn component(config: &Config) -> Result<Artifact, Failure> {
    let mut found = artifacts::inputs(&config.stage)?;
    match &config.artifact {
        Some(name) => found.retain(|artifact| artifact.name == *name),
        None => found.retain(|artifact| artifact.media_type == "application/wasm"),
    }
    let stage = &config.stage;
    if found.len() > 1 {
        let names: Vec<String> = found.iter().map(|artifact| format!("`{}`", artifact.name)).collect();
        let message =
            format!("stage `{stage}` stored several components: name one of {} as `artifact`", names.join(", "));
        return Err(Failure::new("ambiguous-artifact", message));
    }
    let missing = match &config.artifact {
        Some(name) => format!("stage `{stage}` stored no artifact `{name}`"),
        None => format!("stage `{stage}` stored no component"),
    };
    found.pop().or_fail("no-artifact", missing)
}

/// Returns the version that a release of this run gets.
fn version() -> String {
    run::version().unwrap_or_else(run::revision)
}

fn in_words(version: &str, digest: &str) -> String {
    format!("version {version}, {digest}")
}
