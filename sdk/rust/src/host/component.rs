//! The host behind a component's imports.

use std::path::PathBuf;

use super::{Host, LaunchDraft, RequestDraft, RunningProcess, RunningStep, SecretHandle, WritingArtifact};
use crate::Failure;
use crate::apps::{Health, Release};
use crate::artifacts::Artifact;
use crate::http::Response;
use crate::log::Level;
use crate::raw::imports::slipway::stage as wit;
use crate::reports::TestCase;
use crate::tools::{Command, Event, Exit, Output, Stream};

/// Calls the host. The type is known here, so that a component imports only the functions
/// which it calls.
pub(crate) fn with<R>(call: impl FnOnce(&Component) -> R) -> R {
    call(&Component)
}

/// Forwards each call to the import of the same name.
pub(crate) struct Component;

impl Host for Component {
    fn run_id(&self) -> String {
        wit::run::id()
    }

    fn run_pipeline(&self) -> String {
        wit::run::pipeline()
    }

    fn run_stage(&self) -> String {
        wit::run::stage()
    }

    fn run_attempt(&self) -> u32 {
        wit::run::attempt()
    }

    fn run_revision(&self) -> String {
        wit::run::revision()
    }

    fn run_reference(&self) -> String {
        wit::run::reference()
    }

    fn run_version(&self) -> Option<String> {
        wit::run::version()
    }

    fn run_environment(&self) -> Option<String> {
        wit::run::environment()
    }

    fn run_config(&self) -> String {
        wit::run::config()
    }

    fn run_parameter(&self, name: &str) -> Option<String> {
        wit::run::parameter(name)
    }

    fn run_set_output(&self, name: &str, value: &str) -> Result<(), Failure> {
        Ok(wit::run::set_output(name, value)?)
    }

    fn run_inputs(&self) -> Vec<String> {
        wit::run::inputs()
    }

    fn run_input(&self, stage: &str, name: &str) -> Result<Option<String>, Failure> {
        Ok(wit::run::input(stage, name)?)
    }

    fn run_remaining_ms(&self) -> u64 {
        wit::run::remaining_ms()
    }

    fn run_cancelled(&self) -> bool {
        wit::run::cancelled()
    }

    fn log_write(&self, level: Level, message: &str, fields: &[(String, String)]) {
        wit::log::write(level.as_str(), message, fields);
    }

    fn log_step(&self, name: &str) -> Box<dyn RunningStep> {
        Box::new(wit::log::Step::new(name))
    }

    fn artifacts_put(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<Artifact, Failure> {
        Ok(wit::artifacts::put(name, media_type, bytes)?.into())
    }

    fn artifacts_put_file(&self, name: &str, media_type: &str, path: &str) -> Result<Artifact, Failure> {
        Ok(wit::artifacts::put_file(name, media_type, path)?.into())
    }

    fn artifacts_create(&self, name: &str, media_type: &str) -> Result<Box<dyn WritingArtifact>, Failure> {
        Ok(Box::new(wit::artifacts::create(name, media_type)?))
    }

    fn artifacts_inputs(&self, stage: &str) -> Result<Vec<Artifact>, Failure> {
        Ok(wit::artifacts::inputs(stage)?.into_iter().map(Into::into).collect())
    }

    fn artifacts_read(&self, digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, Failure> {
        Ok(wit::artifacts::read(digest, offset, length)?)
    }

    fn tools_start(&self, command: &Command) -> Result<Box<dyn RunningProcess>, Failure> {
        Ok(Box::new(wit::tools::start(&command.into())?))
    }

    fn tools_launch(&self, command: &Command) -> Box<dyn LaunchDraft> {
        Box::new(wit::tools::Launch::new(&command.into()))
    }

    fn reports_test_cases(&self, cases: &[TestCase]) -> Result<(), Failure> {
        let cases: Vec<_> = cases.iter().map(Into::into).collect();
        Ok(wit::reports::test_cases(&cases)?)
    }

    fn reports_change(
        &self,
        action: &str,
        object: &str,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<(), Failure> {
        Ok(wit::reports::change(action, object, before, after)?)
    }

    fn secrets_open(&self, name: &str) -> Result<Box<dyn SecretHandle>, Failure> {
        Ok(Box::new(wit::secrets::open(name)?))
    }

    fn http_request(&self, method: &str, url: &str) -> Box<dyn RequestDraft> {
        Box::new(wit::http::Request::new(method, url))
    }

    fn apps_current(&self, app: &str) -> Result<Option<Release>, Failure> {
        Ok(wit::apps::current(app)?.map(Into::into))
    }

    fn apps_release(&self, app: &str, digest: &str) -> Result<Release, Failure> {
        Ok(wit::apps::release(app, digest)?.into())
    }

    fn apps_health(&self, release: &str, path: &str, within_ms: u32) -> Result<Health, Failure> {
        Ok(wit::apps::health(release, path, within_ms)?.into())
    }

    fn apps_switch(&self, release: &str) -> Result<(), Failure> {
        Ok(wit::apps::switch(release)?)
    }

    fn apps_restore(&self, app: &str) -> Result<Option<Release>, Failure> {
        Ok(wit::apps::restore(app)?.map(Into::into))
    }

    fn apps_address(&self, app: &str) -> Result<String, Failure> {
        Ok(wit::apps::address(app)?)
    }

    fn workspace(&self) -> PathBuf {
        PathBuf::from("/work")
    }

    fn inputs(&self) -> PathBuf {
        PathBuf::from("/inputs")
    }
}

impl RunningStep for wit::log::Step {
    fn progress(&self, done: u64, total: Option<u64>) {
        Self::progress(self, done, total);
    }

    fn fail(&self, message: &str) {
        Self::fail(self, message);
    }
}

impl WritingArtifact for wit::artifacts::Writer {
    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(Self::write(self, bytes)?)
    }

    fn finish(&self) -> Result<Artifact, Failure> {
        Ok(Self::finish(self)?.into())
    }
}

impl RunningProcess for wit::tools::Process {
    fn next(&self, within_ms: u32) -> Result<Option<Event>, Failure> {
        let Some(event) = Self::next(self, within_ms)? else { return Ok(None) };
        let stream = match event.name.as_str() {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            "ended" => return Ok(Some(Event::Ended)),
            // Of a later version of the contract: as good as nothing.
            _ => return Ok(None),
        };
        Ok(Some(Event::Output(Output { stream, bytes: event.bytes })))
    }

    fn wait(&self, within_ms: u32) -> Result<Option<Exit>, Failure> {
        let exit = Self::wait(self, within_ms)?;
        Ok(exit.map(|exit| Exit {
            code: exit.code,
            signal: exit.signal,
            cpu_ms: exit.cpu_ms,
            memory_peak_bytes: exit.memory_peak_bytes,
            wall_ms: exit.wall_ms,
            details: exit.details,
        }))
    }

    fn kill(&self) {
        Self::kill(self);
    }
}

impl SecretHandle for wit::secrets::Secret {
    fn name(&self) -> String {
        Self::name(self)
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        Ok(Self::read(self)?)
    }
}

/// The handle of the component's own host: inside a component there is no other.
fn handle(secret: &dyn SecretHandle) -> &wit::secrets::Secret {
    let any: &dyn std::any::Any = secret;
    any.downcast_ref().expect("inside a component every handle is the host's")
}

impl LaunchDraft for wit::tools::Launch {
    fn secret_env(&self, name: &str, secret: &dyn SecretHandle) {
        Self::secret_env(self, name, handle(secret));
    }

    fn secret_file(&self, name: &str, secret: &dyn SecretHandle) {
        Self::secret_file(self, name, handle(secret));
    }

    fn secret_stdin(&self, secret: &dyn SecretHandle) {
        Self::secret_stdin(self, handle(secret));
    }

    fn start(&self) -> Result<Box<dyn RunningProcess>, Failure> {
        Ok(Box::new(Self::start(self)?))
    }
}

impl RequestDraft for wit::http::Request {
    fn header(&self, name: &str, value: &str) {
        Self::header(self, name, value);
    }

    fn secret_header(&self, name: &str, prefix: &str, secret: &dyn SecretHandle) {
        Self::secret_header(self, name, prefix, handle(secret));
    }

    fn basic_auth(&self, user: &str, secret: &dyn SecretHandle) {
        Self::basic_auth(self, user, handle(secret));
    }

    fn body(&self, bytes: &[u8]) {
        Self::body(self, bytes);
    }

    fn body_artifact(&self, digest: &str) {
        Self::body_artifact(self, digest);
    }

    fn send(&self, within_ms: u32) -> Result<Response, Failure> {
        let wit::http::Response { status, headers, body, details } = Self::send(self, within_ms)?;
        Ok(Response { status, headers, body, details })
    }
}

impl From<wit::artifacts::Artifact> for Artifact {
    fn from(artifact: wit::artifacts::Artifact) -> Self {
        Self {
            name: artifact.name,
            digest: artifact.digest,
            size: artifact.size,
            media_type: artifact.media_type,
            details: artifact.details,
        }
    }
}

impl From<&Command> for wit::tools::Command {
    fn from(command: &Command) -> Self {
        let command = command.clone();
        Self {
            tool: command.tool,
            program: command.program,
            args: command.args,
            env: command.env,
            directory: command.directory,
            stdin: command.stdin,
            details: command.details,
        }
    }
}

impl From<&TestCase> for wit::reports::TestCase {
    fn from(case: &TestCase) -> Self {
        Self {
            suite: case.suite.clone(),
            name: case.name.clone(),
            outcome: case.outcome.as_str().to_owned(),
            time_us: case.time_us(),
            message: case.message.clone(),
            details: case.details.clone(),
        }
    }
}

impl From<wit::apps::ReleaseInfo> for Release {
    fn from(release: wit::apps::ReleaseInfo) -> Self {
        Self { id: release.id, version: release.version, digest: release.digest, details: release.details }
    }
}

impl From<wit::apps::HealthInfo> for Health {
    fn from(health: wit::apps::HealthInfo) -> Self {
        Self {
            healthy: health.healthy,
            status: health.status,
            message: health.message,
            time: std::time::Duration::from_micros(health.time_us),
            details: health.details,
        }
    }
}
