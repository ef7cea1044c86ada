//! Releases on the embedded app host.
//!
//! The order is: [`release`] makes a candidate that gets no traffic, [`health`] asks it
//! how it is, [`switch`] gives it the traffic. The host refuses to switch to a candidate
//! whose last health check it did not see succeed.

use std::time::Duration;

use crate::Failure;
use crate::host;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;

/// One release of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// The release's id.
    pub id: String,
    /// The version, or the revision when there is none.
    pub version: String,
    /// The artifact it runs.
    pub digest: String,
    /// More facts. None are known yet.
    pub details: Vec<(String, String)>,
}

/// What a health check answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether the host counts it as healthy: status 200 to 299 in time.
    pub healthy: bool,
    /// The HTTP status, or 0 when there was no answer.
    pub status: u16,
    /// The start of the body, or why there was no answer.
    pub message: String,
    /// How long the answer took.
    pub time: Duration,
    /// More facts. None are known yet.
    pub details: Vec<(String, String)>,
}

/// Returns the release that has the app's traffic.
///
/// # Errors
/// Fails with `not-granted`.
pub fn current(app: &str) -> Result<Option<Release>, Failure> {
    host::with(|host| host.apps_current(app))
}

/// Makes a candidate of a `wasi:http` component among this stage's inputs. Asked again in
/// the same run with the same artifact, it returns the same candidate.
///
/// # Errors
/// Fails with `not-granted`, `not-in-this-phase`, `unknown-artifact` or `not-an-app`.
pub fn release(app: &str, digest: &str) -> Result<Release, Failure> {
    host::with(|host| host.apps_release(app, digest))
}

/// Sends GETs to a candidate or to the current release until one is healthy or `within`
/// has passed, and returns the last answer. [`Duration::ZERO`] sends one.
///
/// # Errors
/// Fails with `unknown-release` or `invalid-path`. An unhealthy answer is an answer.
pub fn health(release: &str, path: &str, within: Duration) -> Result<Health, Failure> {
    let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    host::with(|host| host.apps_health(release, path, within_ms))
}

/// Gives the app's traffic to a candidate.
///
/// # Errors
/// Fails with `not-healthy`, `replaced`, `unknown-release` or `not-in-this-phase`.
pub fn switch(release: &str) -> Result<(), Failure> {
    host::with(|host| host.apps_switch(release))
}

/// Gives the traffic back to the release that had it before this run, and takes this
/// run's candidates away. Changes nothing when this run did not switch. Returns the
/// release that has the traffic now.
///
/// # Errors
/// Fails with `not-granted` or `not-in-this-phase`.
pub fn restore(app: &str) -> Result<Option<Release>, Failure> {
    host::with(|host| host.apps_restore(app))
}

/// Returns the address at which people reach the app.
///
/// # Errors
/// Fails with `not-granted`.
pub fn address(app: &str) -> Result<String, Failure> {
    host::with(|host| host.apps_address(app))
}
