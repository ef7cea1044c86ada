//! The seam between the SDK and whatever answers its calls.
//!
//! Inside a component that is always the host behind the imports, and the calls are
//! static: a `dyn Host` would keep every import alive, and a build stage would then import
//! the apps. On the author's machine it is what [`crate::testing`] put in place.

use std::path::PathBuf;

use crate::Failure;
use crate::apps::{Health, Release};
use crate::artifacts::Artifact;
use crate::http::Response;
use crate::log::Level;
use crate::reports::TestCase;
use crate::tools::{Command, Event, Exit};

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use component::with;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{enter, try_with, with};

/// One method for each import of the three worlds, and the two folders.
///
/// The functions of the SDK's modules are the way to call it. [`testing::Fake`] implements
/// it; another host for native tests is put in place with [`testing::run_on`].
///
/// [`testing::Fake`]: crate::testing::Fake
/// [`testing::run_on`]: crate::testing::run_on
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait Host {
    /// `run.id`
    fn run_id(&self) -> String;
    /// `run.pipeline`
    fn run_pipeline(&self) -> String;
    /// `run.stage`
    fn run_stage(&self) -> String;
    /// `run.attempt`
    fn run_attempt(&self) -> u32;
    /// `run.revision`
    fn run_revision(&self) -> String;
    /// `run.reference`
    fn run_reference(&self) -> String;
    /// `run.version`
    fn run_version(&self) -> Option<String>;
    /// `run.environment`
    fn run_environment(&self) -> Option<String>;
    /// `run.config`
    fn run_config(&self) -> String;
    /// `run.parameter`
    fn run_parameter(&self, name: &str) -> Option<String>;
    /// `run.set-output`
    fn run_set_output(&self, name: &str, value: &str) -> Result<(), Failure>;
    /// `run.inputs`
    fn run_inputs(&self) -> Vec<String>;
    /// `run.input`
    fn run_input(&self, stage: &str, name: &str) -> Result<Option<String>, Failure>;
    /// `run.remaining-ms`
    fn run_remaining_ms(&self) -> u64;
    /// `run.cancelled`
    fn run_cancelled(&self) -> bool;

    /// `log.write`
    fn log_write(&self, level: Level, message: &str, fields: &[(String, String)]);
    /// The constructor of `log.step`
    fn log_step(&self, name: &str) -> Box<dyn RunningStep>;

    /// `artifacts.put`
    fn artifacts_put(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Artifact, Failure>;
    /// `artifacts.put-file`
    fn artifacts_put_file(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Failure>;
    /// `artifacts.create`
    fn artifacts_create(&self, name: &str, media_type: &str) -> Result<Box<dyn WritingArtifact>, Failure>;
    /// `artifacts.inputs`
    fn artifacts_inputs(&self, stage: &str) -> Result<Vec<Artifact>, Failure>;
    /// `artifacts.read`
    fn artifacts_read(&self, digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, Failure>;

    /// `tools.start`
    fn tools_start(&self, command: &Command) -> Result<Box<dyn RunningProcess>, Failure>;
    /// The constructor of `tools.launch`
    fn tools_launch(&self, command: &Command) -> Box<dyn LaunchDraft>;

    /// `reports.test-cases`
    fn reports_test_cases(&self, cases: &[TestCase]) -> Result<(), Failure>;
    /// `reports.change`
    fn reports_change(
        &self,
        action: &str,
        object: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), Failure>;

    /// `secrets.open`
    fn secrets_open(&self, name: &str) -> Result<Box<dyn SecretHandle>, Failure>;

    /// The constructor of `http.request`
    fn http_request(&self, method: &str, url: &str) -> Box<dyn RequestDraft>;

    /// `apps.current`
    fn apps_current(&self, app: &str) -> Result<Option<Release>, Failure>;
    /// `apps.release`
    fn apps_release(&self, app: &str, digest: &str) -> Result<Release, Failure>;
    /// `apps.health`
    fn apps_health(&self, release: &str, path: &str, within_ms: u32) -> Result<Health, Failure>;
    /// `apps.switch`
    fn apps_switch(&self, release: &str) -> Result<(), Failure>;
    /// `apps.restore`
    fn apps_restore(&self, app: &str) -> Result<Option<Release>, Failure>;
    /// `apps.address`
    fn apps_address(&self, app: &str) -> Result<String, Failure>;

    /// The folder with the checked-out revision: `/work`.
    fn workspace(&self) -> PathBuf;
    /// The folder with the artifacts of earlier stages: `/inputs`.
    fn inputs(&self) -> PathBuf;
}

/// The resource `log.step`. Dropping it ends the step.
pub trait RunningStep {
    /// `step.progress`
    fn progress(&self, done: u64, total: Option<u64>);
    /// `step.fail`
    fn fail(&self, message: &str);
}

/// The resource `artifacts.writer`. Dropped before `finish`, it leaves nothing behind.
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait WritingArtifact {
    /// `writer.write`
    fn write(&self, bytes: &[u8]) -> Result<(), Failure>;
    /// `writer.finish`
    fn finish(&self) -> Result<Artifact, Failure>;
}

/// The resource `tools.process`. Dropping it ends the program.
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait RunningProcess {
    /// `process.next`
    fn next(&self, within_ms: u32) -> Result<Option<Event>, Failure>;
    /// `process.wait`
    fn wait(&self, within_ms: u32) -> Result<Option<Exit>, Failure>;
    /// `process.kill`
    fn kill(&self);
}

/// The resource `secrets.secret`.
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait SecretHandle: std::any::Any {
    /// `secret.name`
    fn name(&self) -> String;
    /// `secret.read`
    fn read(&self) -> Result<Vec<u8>, Failure>;
}

/// The resource `tools.launch`.
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait LaunchDraft {
    /// `launch.secret-env`
    fn secret_env(&self, name: &str, secret: &dyn SecretHandle);
    /// `launch.secret-file`
    fn secret_file(&self, name: &str, secret: &dyn SecretHandle);
    /// `launch.secret-stdin`
    fn secret_stdin(&self, secret: &dyn SecretHandle);
    /// `launch.start`
    fn start(&self) -> Result<Box<dyn RunningProcess>, Failure>;
}

/// The resource `http.request`.
#[expect(clippy::missing_errors_doc, reason = "the WIT files say when each call fails")]
pub trait RequestDraft {
    /// `request.header`
    fn header(&self, name: &str, value: &str);
    /// `request.secret-header`
    fn secret_header(&self, name: &str, prefix: &str, secret: &dyn SecretHandle);
    /// `request.basic-auth`
    fn basic_auth(&self, user: &str, secret: &dyn SecretHandle);
    /// `request.body`
    fn body(&self, bytes: &[u8]);
    /// `request.body-artifact`
    fn body_artifact(&self, digest: &str);
    /// `request.send`
    fn send(&self, within_ms: u32) -> Result<Response, Failure>;
}
