//! A lease: one attempt at one phase of a stage, with all that a worker needs for it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One attempt, given to one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The fence: whoever has a lower one for the same stage has lost it.
    pub epoch: u64,
    /// What shows at the HTTP routes that this worker holds it.
    pub key: String,
    /// The run.
    pub run: String,
    /// The pipeline.
    pub pipeline: String,
    /// The stage.
    pub stage: String,
    /// `build`, `test` or `deploy`.
    pub kind: String,
    /// The export to call.
    pub phase: String,
    /// Which attempt of the phase it is, from 1.
    pub attempt: u32,
    /// The commit.
    pub revision: String,
    /// The ref.
    pub reference: String,
    /// The version, when a tag gave one.
    pub version: Option<String>,
    /// The environment it changes.
    pub environment: Option<String>,
    /// The stage's configuration, as JSON.
    pub config: String,
    /// The run's parameters.
    pub parameters: BTreeMap<String, String>,
    /// The plugin.
    pub component: Component,
    /// What the stage may take.
    pub limits: Limits,
    /// What the stages it needs have left for it.
    pub inputs: Vec<Input>,
    /// When the stage began, in microseconds since 1970: the clock of a deployer.
    pub began_at_us: u64,
}

/// A component to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The plugin's name, for messages.
    pub name: String,
    /// Its digest.
    pub digest: String,
}

/// What a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may run.
    pub wall_ms: u64,
    /// Linear memory, all together.
    pub memory_bytes: u64,
    /// Log text.
    pub log_bytes: u64,
}

/// What an earlier stage has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The stage.
    pub stage: String,
    /// Its artifacts.
    pub artifacts: Vec<Artifact>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
}

/// One stored artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}
