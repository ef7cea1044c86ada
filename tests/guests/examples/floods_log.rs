//! Writes more to the log than anybody wants to read.

use slipway_sdk::prelude::*;

/// How much to write.
#[config]
struct Config {
    /// How many entries.
    #[serde(default = "million")]
    entries: u64,
    /// How long each of them is, in bytes.
    #[serde(default = "kibibyte")]
    bytes: usize,
}

fn million() -> u64 {
    1_000_000
}

fn kibibyte() -> usize {
    1024
}

fn build(config: &Config) -> Result<(), Failure> {
    let message = "x".repeat(config.bytes);
    for _ in 0..config.entries {
        info!("{message}");
    }
    Ok(())
}

slipway_sdk::builder! { name: "floods-log", summary: "Writes a lot", build: build }
