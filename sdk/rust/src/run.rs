//! What this call of the stage is about: ids, configuration, parameters, time left, and
//! the outputs that go from stage to stage.

use std::fmt::Display;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::host;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;

/// Returns the run's id.
#[must_use]
pub fn id() -> String {
    host::with(|host| host.run_id())
}

/// Returns the name of the pipeline.
#[must_use]
pub fn pipeline() -> String {
    host::with(|host| host.run_pipeline())
}

/// Returns the name of this stage in the pipeline.
#[must_use]
pub fn stage() -> String {
    host::with(|host| host.run_stage())
}

/// Returns which attempt of the stage this is, from 1. It rises when a worker was lost.
#[must_use]
pub fn attempt() -> u32 {
    host::with(|host| host.run_attempt())
}

/// Returns the commit that is being built, tested or deployed.
#[must_use]
pub fn revision() -> String {
    host::with(|host| host.run_revision())
}

/// Returns the ref that was triggered, such as `refs/tags/v1.0.0`, or the revision itself.
#[must_use]
pub fn reference() -> String {
    host::with(|host| host.run_reference())
}

/// Returns the version when the ref is a tag such as `v1.2.3`: here `1.2.3`.
#[must_use]
pub fn version() -> Option<String> {
    host::with(|host| host.run_version())
}

/// Returns the environment that the pipeline names for this stage.
#[must_use]
pub fn environment() -> Option<String> {
    host::with(|host| host.run_environment())
}

/// Reads the stage's `with` table. A stage function gets it as its argument.
///
/// # Errors
/// Fails with `invalid-config` and the path of the wrong key.
pub fn config<C: DeserializeOwned>() -> Result<C, Failure> {
    crate::stage::decode(&host::with(|host| host.run_config()))
}

/// Returns the value of a parameter of the run, given by whoever triggered it.
#[must_use]
pub fn parameter(name: &str) -> Option<String> {
    host::with(|host| host.run_parameter(name))
}

/// Publishes a value that later stages read with [`input`].
///
/// # Errors
/// Fails with `invalid-name`, `too-large` (64 KiB a value) or `too-many` (256).
pub fn set_output(name: &str, value: impl Display) -> Result<(), Failure> {
    let value = value.to_string();
    host::with(|host| host.run_set_output(name, &value))
}

/// Returns the names of the earlier stages that this one needs, directly or through others:
/// those whose outputs and artifacts it can read.
#[must_use]
pub fn inputs() -> Vec<String> {
    host::with(|host| host.run_inputs())
}

/// Returns an output of an earlier stage, or `None` when it set no such output. By this
/// stage's own name it returns what it has set itself, in this call and in earlier phases:
/// so `apply` and `rollback` find what `plan` and `apply` have left.
///
/// # Errors
/// Fails with `not-an-input` when this stage does not need that one.
pub fn input(stage: &str, name: &str) -> Result<Option<String>, Failure> {
    host::with(|host| host.run_input(stage, name))
}

/// Returns the time left until the host ends this call.
#[must_use]
pub fn remaining() -> Duration {
    Duration::from_millis(host::with(|host| host.run_remaining_ms()))
}

/// Says whether somebody has cancelled the run. A stage that notices should return soon:
/// its call is dropped a few seconds later.
#[must_use]
pub fn cancelled() -> bool {
    host::with(|host| host.run_cancelled())
}
