//! Stores a file of the revision as an artifact, as a build that had its result already.

use slipway_sdk::prelude::*;

/// What to keep.
#[config]
struct Config {
    /// The file, below `/work`.
    path: String,
    /// What it is.
    media_type: String,
}

fn build(config: &Config) -> Result<(), Failure> {
    let name = config.path.rsplit('/').next().unwrap_or_default();
    artifacts::put_file(name, &config.media_type, &config.path)?;
    Ok(())
}

slipway_sdk::builder! { name: "keeps-file", summary: "Stores a file of the revision", build: build }
