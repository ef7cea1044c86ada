//! Changes what runs while it should only say what it would change.

use slipway_sdk::prelude::*;

/// What to release.
#[config]
struct Config {
    /// The app.
    #[serde(default = "hello")]
    app: String,
    /// The stage whose first artifact is released.
    #[serde(default = "build")]
    stage: String,
}

fn hello() -> String {
    "hello".into()
}

fn build() -> String {
    "build".into()
}

fn plan(config: &Config) -> Result<(), Failure> {
    release(config)
}

fn apply(config: &Config) -> Result<(), Failure> {
    release(config)
}

fn rollback(_config: &Config) -> Result<(), Failure> {
    Ok(())
}

fn release(config: &Config) -> Result<(), Failure> {
    let artifacts = artifacts::inputs(&config.stage)?;
    let artifact = artifacts.first().or_fail("no-artifact", "there is nothing to release")?;
    let release = apps::release(&config.app, &artifact.digest)?;
    info!("released `{}`", release.id);
    Ok(())
}

slipway_sdk::deployer! {
    name: "deploys-in-plan",
    summary: "Releases in `plan`",
    capabilities: [Capability::apps(&[], "shows that it is refused")],
    plan: plan,
    apply: apply,
    rollback: rollback,
}
