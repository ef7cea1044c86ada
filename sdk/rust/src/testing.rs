//! A host for native tests: a small working model of every interface.
//!
//! ```
//! use slipway_sdk::prelude::*;
//! use slipway_sdk::testing::{Fake, Script};
//!
//! /// Where to look.
//! #[config]
//! struct Config {
//!     directory: String,
//! }
//!
//! fn check(config: &Config) -> Result<(), Failure> {
//!     tools::command("rust", "cargo")
//!         .args(["fmt", "--check"])
//!         .directory(&config.directory)
//!         .run()?
//!         .check("cargo fmt")?;
//!     Ok(())
//! }
//!
//! // #[test] fn a_badly_formatted_file_fails_the_stage() {
//! let fake = Fake::new()
//!     .config(json!({"directory": "."}))
//!     .tool("rust", "cargo", |_command| Script::new().exit(1));
//! assert_eq!(fake.call(check).unwrap_err().code, "tool-failed");
//! // }
//! # use slipway_sdk::json;
//! ```
//!
//! What the fake was given is what it allows: a tool with a script, a secret with a name,
//! an app with a name. [`Fake::without`] takes a grant away again, to see what a stage
//! does when it is refused.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::apps::{Health, Release};
use crate::artifacts::Artifact;
use crate::http::Response;
use crate::log::Level;
use crate::reports::TestCase;
use crate::tools::Command;
use crate::{Failure, Host, Stage};

mod apps;
mod artifacts;
mod fake;
mod http;
mod script;
#[cfg(test)]
mod tests;

pub use http::{GivenSecret, SentRequest};
pub use script::Script;

use fake::{Phase, State};

/// Runs anything that calls the SDK on a host of your own.
pub fn run_on<R>(host: Rc<dyn Host>, body: impl FnOnce() -> R) -> R {
    crate::host::enter(host, body)
}

/// An entry that the stage wrote to its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// How much it matters.
    pub level: Level,
    /// The message.
    pub message: String,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

/// A step that the stage began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepRecord {
    /// Its name.
    pub name: String,
    /// The last progress that was told.
    pub progress: Option<(u64, Option<u64>)>,
    /// Why it was not successful.
    pub failed: Option<String>,
    /// Whether it has ended.
    pub ended: bool,
}

/// A change that `plan` told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The verb.
    pub action: String,
    /// The thing.
    pub object: String,
    /// The thing now.
    pub before: Option<String>,
    /// The thing afterwards.
    pub after: Option<String>,
}

/// A host in memory: told what the stage meets, used with [`call`](Fake::call),
/// [`plan`](Fake::plan) or [`run`](Fake::run), then asked what the stage did.
pub struct Fake {
    state: Rc<State>,
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

/// What the stage meets.
impl Fake {
    /// Makes a host with an empty workspace, which grants nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::new() }
    }

    /// Sets the `with` table.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "it is made with `json!` on the spot")]
    pub fn config(self, config: Value) -> Self {
        self.state.facts.borrow_mut().config = config.to_string();
        self
    }

    /// Sets the name of the stage.
    #[must_use]
    pub fn stage(self, name: &str) -> Self {
        self.state.facts.borrow_mut().stage = name.into();
        self
    }

    /// Sets the attempt.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        self.state.facts.borrow_mut().attempt = attempt;
        self
    }

    /// Triggers the run by the tag `v<version>`.
    #[must_use]
    pub fn version(self, version: &str) -> Self {
        {
            let mut facts = self.state.facts.borrow_mut();
            facts.version = Some(version.into());
            facts.reference = format!("refs/tags/v{version}");
        }
        self
    }

    /// Sets the environment.
    #[must_use]
    pub fn environment(self, name: &str) -> Self {
        self.state.facts.borrow_mut().environment = Some(name.into());
        self
    }

    /// Gives the run a parameter.
    #[must_use]
    pub fn parameter(self, name: &str, value: &str) -> Self {
        self.state.facts.borrow_mut().parameters.insert(name.into(), value.into());
        self
    }

    /// Sets the time that is left.
    #[must_use]
    pub fn remaining(self, time: Duration) -> Self {
        self.state.facts.borrow_mut().remaining = time;
        self
    }

    /// Cancels the run.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.state.facts.borrow_mut().cancelled = true;
        self
    }

    /// Puts a file into the workspace.
    ///
    /// # Panics
    /// Panics where the file cannot be written.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        fake::write_file(&self.state.folder.path().join("work"), path, bytes.as_ref());
        self
    }

    /// Makes `stage` an earlier stage that this one needs.
    #[must_use]
    pub fn input(self, stage: &str) -> Self {
        self.state.inputs.borrow_mut().entry(stage.into()).or_default();
        self
    }

    /// Gives an earlier stage an output.
    #[must_use]
    pub fn input_output(self, stage: &str, name: &str, value: &str) -> Self {
        self.state.inputs.borrow_mut().entry(stage.into()).or_default().outputs.insert(name.into(), value.into());
        self
    }

    /// Gives an earlier stage an artifact.
    ///
    /// # Panics
    /// Panics where the file below `inputs` cannot be written.
    #[must_use]
    pub fn input_artifact(self, stage: &str, name: &str, media_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let artifact = self.state.keep(name, media_type, bytes);
        fake::write_file(&self.state.folder.path().join("inputs").join(stage), name, bytes);
        self.state.inputs.borrow_mut().entry(stage.into()).or_default().artifacts.push(artifact);
        self
    }

    /// Grants a tool and says what one of its programs does.
    #[must_use]
    pub fn tool(self, tool: &str, program: &str, script: impl Fn(&Command) -> Script + 'static) -> Self {
        self.state.grant("tools", tool);
        self.state.tools.borrow_mut().entry(tool.into()).or_default().insert(program.into(), Rc::new(script));
        self
    }

    /// Keeps a secret and grants it.
    #[must_use]
    pub fn secret(self, name: &str) -> Self {
        self.state.grant("secrets", name);
        self.state.secrets.borrow_mut().insert(name.into());
        self
    }

    /// Keeps a secret and lets the stage see its value.
    #[must_use]
    pub fn secret_to_read(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.state.grant("secrets", &format!("{name} read"));
        self.state.values.borrow_mut().insert(name.into(), value.as_ref().into());
        self.secret(name)
    }

    /// Grants requests of a method (`*`: any) to addresses that begin so, and says what answers them.
    #[must_use]
    pub fn http(self, method: &str, start: &str, server: impl Fn(&SentRequest) -> Response + 'static) -> Self {
        self.state.grant("http", &format!("{method} {start}"));
        self.state.servers.borrow_mut().push((start.into(), Rc::new(server)));
        self
    }

    /// Grants an app, which has no release yet.
    #[must_use]
    pub fn app(self, name: &str) -> Self {
        self.state.grant("apps", name);
        self.state.apps.borrow_mut().add(name, None);
        self
    }

    /// Grants an app with a release of earlier.
    #[must_use]
    pub fn app_running(self, name: &str, version: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.state.grant("apps", name);
        let digest = artifacts::digest(bytes.as_ref());
        let release = Release { id: format!("{name}-{version}"), version: version.into(), digest, details: Vec::new() };
        self.state.apps.borrow_mut().add(name, Some(release));
        self
    }

    /// Says how releases answer health checks; without it all are healthy. The arguments
    /// are the release and the path.
    #[must_use]
    pub fn health(self, answer: impl Fn(&Release, &str) -> Health + 'static) -> Self {
        self.state.apps.borrow_mut().answer = Rc::new(answer);
        self
    }

    /// Grants `name` of an interface, without putting anything behind it.
    #[must_use]
    pub fn grant(self, interface: &'static str, name: &str) -> Self {
        self.state.grant(interface, name);
        self
    }

    /// Takes a grant away: of `tools`, `secrets` or `apps` by name, of `http` as it was given, or of `artifacts`
    /// with an empty name.
    #[must_use]
    pub fn without(self, interface: &'static str, name: &str) -> Self {
        self.state.withdraw(interface, name);
        self
    }
}

/// Calling the stage.
impl Fake {
    /// Calls a stage function with the configuration, as `build`, `test`, `apply` or
    /// `rollback`.
    ///
    /// # Errors
    /// Fails as the stage does, or with `invalid-config`.
    #[expect(clippy::needless_pass_by_value, reason = "a function is passed by its name")]
    pub fn call<M, S: Stage<M>>(&self, stage: S) -> Result<(), Failure> {
        self.run(|| crate::stage::call(&stage))
    }

    /// Calls a stage function as `plan`: calls that change something are refused.
    ///
    /// # Errors
    /// Fails as the stage does, or with `invalid-config`.
    pub fn plan<M, S: Stage<M>>(&self, stage: S) -> Result<(), Failure> {
        self.state.phase.set(Phase::Plan);
        let result = self.call(stage);
        self.state.phase.set(Phase::Act);
        result
    }

    /// Runs anything that calls the SDK.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let host: Rc<dyn Host> = Rc::<State>::clone(&self.state);
        run_on(host, body)
    }
}

/// What the stage did.
impl Fake {
    /// Returns the entries of the log.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.state.log.borrow().clone()
    }

    /// Says whether an entry of the log contains `text`.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        self.state.log.borrow().iter().any(|entry| entry.message.contains(text))
    }

    /// Returns the steps, in the order in which they began.
    #[must_use]
    pub fn steps(&self) -> Vec<StepRecord> {
        self.state.steps.borrow().clone()
    }

    /// Returns an output that the stage set.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<String> {
        self.state.outputs.borrow().get(name).cloned()
    }

    /// Returns the artifacts that the stage stored.
    #[must_use]
    pub fn artifacts(&self) -> Vec<Artifact> {
        self.state.artifacts.borrow().clone()
    }

    /// Returns the bytes of an artifact that the stage stored, by its name.
    #[must_use]
    pub fn artifact(&self, name: &str) -> Option<Vec<u8>> {
        let artifacts = self.state.artifacts.borrow();
        let artifact = artifacts.iter().find(|artifact| artifact.name == name)?;
        self.state.blobs.borrow().get(&artifact.digest).cloned()
    }

    /// Returns the commands that the stage started.
    #[must_use]
    pub fn commands(&self) -> Vec<Command> {
        self.state.commands.borrow().clone()
    }

    /// Returns the requests that the stage sent.
    #[must_use]
    pub fn requests(&self) -> Vec<SentRequest> {
        self.state.requests.borrow().clone()
    }

    /// Returns the secrets that programs were given.
    #[must_use]
    pub fn given_secrets(&self) -> Vec<GivenSecret> {
        self.state.given.borrow().clone()
    }

    /// Returns the tests that the stage reported.
    #[must_use]
    pub fn cases(&self) -> Vec<TestCase> {
        self.state.cases.borrow().clone()
    }

    /// Returns in how many calls it reported them.
    #[must_use]
    pub fn case_batches(&self) -> usize {
        self.state.case_batches.get()
    }

    /// Returns the changes that `plan` told.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.state.changes.borrow().clone()
    }

    /// Returns the release that has an app's traffic.
    #[must_use]
    pub fn current(&self, app: &str) -> Option<Release> {
        self.state.apps.borrow().current(app)
    }

    /// Returns the health checks that the stage asked for: the release's id, the path and
    /// the time it allowed in milliseconds.
    #[must_use]
    pub fn health_checks(&self) -> Vec<(String, String, u32)> {
        self.state.apps.borrow().checks.clone()
    }
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Fake").finish_non_exhaustive()
    }
}
