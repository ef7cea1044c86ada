//! `slipway:stage@0.1.0`: what a guest's imports do on the worker.
//!
//! What reaches outside the stage's own run is forwarded as a `Call`; the rest is answered
//! from the lease.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use crate::runtime::state::State;
use crate::session::Session;
use crate::tools::ToolProcess;
use bytes::Bytes;
use slipway_domain::Digest;
use slipway_protocol::call::{ReleaseInfo, TestCase};
use slipway_protocol::lease::Input;
use slipway_protocol::outcome::Failure as WireFailure;
use slipway_protocol::{Call, Reply};
use std::io::{Read, Seek, SeekFrom};
use wasmtime::component::{HasSelf, Linker, Resource};

/// What the macro makes of the contract; its documentation is in `wit/`.
#[expect(missing_docs, reason = "generated from documented WIT")]
pub mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package slipway:worker;
            world imports {
                import slipway:stage/run@0.1.0;
                import slipway:stage/log@0.1.0;
                import slipway:stage/artifacts@0.1.0;
                import slipway:stage/tools@0.1.0;
                import slipway:stage/reports@0.1.0;
                import slipway:stage/secrets@0.1.0;
                import slipway:stage/apps@0.1.0;
            }
        ",
        world: "slipway:worker/imports",
        imports: { default: async | trappable },
        with: {
            "slipway:stage/log.step": super::Step,
            "slipway:stage/artifacts.writer": super::Writer,
            "slipway:stage/tools.process": super::Process,
            "slipway:stage/secrets.secret": super::Secret,
        },
    });
}

pub use bindings::slipway;
use slipway::stage::{apps, artifacts, log, reports, run, secrets, tools, types};
pub use types::Failure;

/// The most bytes that one call carries.
const CALL_BYTES_MAX: usize = 4 << 20;
/// The most outputs or fields that one call carries.
const FIELDS_MAX: usize = 64;

/// A step that a guest has begun.
pub struct Step {
    id: u64,
    name: String,
    failed: bool,
}

/// An artifact that a guest is writing, in a file of the host's.
pub struct Writer {
    name: String,
    media_type: String,
    file: std::fs::File,
}

/// A tool that a guest has started.
pub struct Process(ToolProcess);

/// A secret that a guest may point at.
pub struct Secret {
    name: String,
}

/// Adds every interface of the contract. Which of them a component may import was decided
/// by its kind before.
pub fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    run::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    artifacts::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    tools::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    reports::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    secrets::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    apps::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl From<WireFailure> for Failure {
    fn from(failure: WireFailure) -> Self {
        let WireFailure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

impl From<Failure> for WireFailure {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

fn failure(code: &str, message: impl Into<String>) -> Failure {
    WireFailure::new(code, message).into()
}

type Answer<T> = wasmtime::Result<Result<T, Failure>>;

/// A reply that does not belong to its call: a fault of the host, never of the guest.
fn odd<T>(reply: &Reply) -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg(format!("control answered with an unexpected `{reply:?}`")))
}

/// A call whose only good answer is that it was done.
async fn done(session: &Session, call: Call) -> Answer<()> {
    match session.call(call).await? {
        Reply::Done => Ok(Ok(())),
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl types::Host for State {}

impl run::Host for State {
    async fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.run.clone())
    }

    async fn pipeline(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.pipeline.clone())
    }

    async fn stage(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.stage.clone())
    }

    async fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.session.lease.attempt)
    }

    async fn revision(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.revision.clone())
    }

    async fn reference(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.reference.clone())
    }

    async fn version(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.version.clone())
    }

    async fn environment(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.environment.clone())
    }

    async fn config(&mut self) -> wasmtime::Result<String> {
        Ok(self.session.lease.config.clone())
    }

    async fn parameter(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.session.lease.parameters.get(&name).cloned())
    }

    async fn set_output(&mut self, name: String, value: String) -> Answer<()> {
        done(&self.session, Call::SetOutput { name, value }).await
    }

    async fn input(&mut self, stage: String, name: String) -> Answer<Option<String>> {
        Ok(input(&self.session, &stage).map(|input| input.outputs.get(&name).cloned()))
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.session.remaining().as_millis()).unwrap_or(u64::MAX))
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.session.is_cancelled())
    }
}

fn input<'a>(session: &'a Session, stage: &str) -> Result<&'a Input, Failure> {
    session.lease.inputs.iter().find(|input| input.stage == stage).ok_or_else(|| {
        failure(
            "not-an-input",
            format!(
                "stage `{}` does not need `{}`: add it to `needs` to read what it left",
                session.lease.stage,
                stage.escape_debug()
            ),
        )
    })
}

impl log::Host for State {
    async fn write(
        &mut self,
        level: String,
        message: String,
        mut fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level.as_str() {
            "debug" | "warn" | "error" => level.as_str(),
            _ => "info",
        };
        fields.truncate(FIELDS_MAX);
        self.session.log.write("stage", level, message, fields);
        Ok(())
    }
}

impl log::HostStep for State {
    async fn new(&mut self, name: String) -> wasmtime::Result<Resource<Step>> {
        let id = self.session.next_step();
        self.session.log.write("stage", "step", name.clone(), vec![("step".into(), id.to_string())]);
        Ok(self.table.push(Step { id, name, failed: false })?)
    }

    async fn progress(&mut self, step: Resource<Step>, done: u64, total: Option<u64>) -> wasmtime::Result<()> {
        let step = self.table.get(&step)?;
        let mut fields = vec![("step".into(), step.id.to_string()), ("done".into(), done.to_string())];
        fields.extend(total.map(|total| ("total".into(), total.to_string())));
        self.session.log.write("stage", "progress", step.name.clone(), fields);
        Ok(())
    }

    async fn fail(&mut self, step: Resource<Step>, message: String) -> wasmtime::Result<()> {
        let step = self.table.get_mut(&step)?;
        step.failed = true;
        let fields = vec![("step".into(), step.id.to_string()), ("name".into(), step.name.clone())];
        self.session.log.write("stage", "failed", message, fields);
        Ok(())
    }

    async fn drop(&mut self, step: Resource<Step>) -> wasmtime::Result<()> {
        let step = self.table.delete(step)?;
        if !step.failed {
            self.session.log.write("stage", "done", step.name, vec![("step".into(), step.id.to_string())]);
        }
        Ok(())
    }
}

impl artifacts::Host for State {
    async fn put(&mut self, name: String, media_type: String, bytes: Vec<u8>) -> Answer<artifacts::Artifact> {
        if bytes.len() > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB: use `create` or `put-file`")));
        }
        let bytes = Bytes::from(bytes);
        store(&self.session, name, media_type, || Ok(bytes.clone().into())).await
    }

    async fn put_file(&mut self, name: String, media_type: String, path: String) -> Answer<artifacts::Artifact> {
        let file = self.session.workspace.root().await?.read(&path);
        match file {
            Ok(file) => store(&self.session, name, media_type, || from_start(&file)).await,
            Err(error) => Ok(Err(failure("no-such-file", format!("cannot read `{}`: {error}", path.escape_debug())))),
        }
    }

    async fn create(&mut self, name: String, media_type: String) -> Answer<Resource<Writer>> {
        let file = tempfile::tempfile()?;
        Ok(Ok(self.table.push(Writer { name, media_type, file })?))
    }

    async fn inputs(&mut self, stage: String) -> Answer<Vec<artifacts::Artifact>> {
        Ok(input(&self.session, &stage).map(|input| input.artifacts.iter().cloned().map(Into::into).collect()))
    }

    async fn read(&mut self, digest: String, offset: u64, length: u32) -> Answer<Vec<u8>> {
        let known = match Digest::new(digest.clone()) {
            Ok(digest) if self.session.may_read(&digest) => digest,
            Ok(_) | Err(_) => {
                let message = format!("`{}` is neither an input nor an artifact of this stage", digest.escape_debug());
                return Ok(Err(failure("unknown-artifact", message)));
            }
        };
        let mut file = self.session.artifact(&known).await?;
        let length = (length as usize).min(CALL_BYTES_MAX);
        let read = move || {
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(length as u64).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        Ok(Ok(tokio::task::spawn_blocking(read).await??))
    }
}

impl artifacts::HostWriter for State {
    async fn write(&mut self, writer: Resource<Writer>, bytes: Vec<u8>) -> Answer<()> {
        if bytes.len() > CALL_BYTES_MAX {
            return Ok(Err(failure("too-large", "one call carries at most 4 MiB")));
        }
        std::io::Write::write_all(&mut self.table.get_mut(&writer)?.file, &bytes)?;
        Ok(Ok(()))
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Answer<artifacts::Artifact> {
        let writer = self.table.get_mut(&writer)?;
        let (name, media_type) = (writer.name.clone(), writer.media_type.clone());
        let file = writer.file.try_clone()?;
        store(&self.session, name, media_type, || from_start(&file)).await
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

/// A file from its beginning, as a body.
fn from_start(file: &std::fs::File) -> std::io::Result<reqwest::Body> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(tokio::fs::File::from_std(file).into())
}

/// Sends the bytes to control, which hashes them, and then puts the artifact on the record.
async fn store(
    session: &Session,
    name: String,
    media_type: String,
    body: impl Fn() -> std::io::Result<reqwest::Body>,
) -> Answer<artifacts::Artifact> {
    let digest = match session.upload(body).await {
        Ok(uploaded) => uploaded.digest,
        Err(crate::transfer::Error::Refused { status: 413, text, .. }) => return Ok(Err(failure("too-large", text))),
        Err(error) => return Err(wasmtime::Error::new(error)),
    };
    match session.call(Call::PutArtifact { name, media_type, digest }).await? {
        Reply::Artifact(artifact) => {
            session.own(&artifact.digest);
            Ok(Ok(artifact.into()))
        }
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl From<slipway_protocol::lease::Artifact> for artifacts::Artifact {
    fn from(artifact: slipway_protocol::lease::Artifact) -> Self {
        let slipway_protocol::lease::Artifact { name, digest, size, media_type } = artifact;
        Self { name, digest, size, media_type }
    }
}

impl tools::Host for State {
    async fn start(&mut self, command: tools::Command) -> Answer<Resource<Process>> {
        let call = Call::StartTool {
            tool: command.tool.clone(),
            program: command.program.clone(),
            args: command.args.clone(),
            directory: command.directory.clone(),
            env: command.env.iter().map(|(name, _)| name.clone()).collect(),
        };
        let (seq, reply) = self.session.numbered_call(call).await?;
        let plan = match reply {
            Reply::Tool(plan) => plan,
            Reply::Refused(failure) => return Ok(Err(failure.into())),
            other => return odd(&other),
        };
        match self.session.start_tool(seq, plan, command).await {
            Ok(process) => Ok(Ok(self.table.push(Process(process))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl tools::HostProcess for State {
    async fn next(&mut self, process: Resource<Process>) -> wasmtime::Result<Option<tools::Output>> {
        let output = self.table.get_mut(&process)?.0.next().await;
        Ok(output.map(|(name, bytes)| tools::Output { name: name.to_owned(), bytes }))
    }

    async fn wait(&mut self, process: Resource<Process>) -> Answer<tools::Exit> {
        let exit = self.table.get_mut(&process)?.0.wait().await;
        Ok(exit
            .map(|exit| tools::Exit {
                code: exit.code,
                signal: exit.signal,
                cpu_ms: exit.cpu_ms,
                memory_peak_bytes: exit.memory_peak_bytes,
                wall_ms: exit.wall_ms,
            })
            .map_err(Into::into))
    }

    async fn kill(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        self.table.get_mut(&process)?.0.kill();
        Ok(())
    }

    async fn drop(&mut self, process: Resource<Process>) -> wasmtime::Result<()> {
        self.table.delete(process)?;
        Ok(())
    }
}

impl reports::Host for State {
    async fn test_cases(&mut self, cases: Vec<reports::TestCase>) -> Answer<()> {
        let cases = cases.into_iter().map(|case| TestCase {
            suite: case.suite,
            name: case.name,
            outcome: case.outcome,
            time_us: case.time_us,
            message: case.message,
        });
        done(&self.session, Call::TestCases { cases: cases.collect() }).await
    }

    async fn change(
        &mut self,
        action: String,
        object: String,
        before: Option<String>,
        after: Option<String>,
    ) -> Answer<()> {
        done(&self.session, Call::Change { action, object, before, after }).await
    }
}

impl secrets::Host for State {
    async fn open(&mut self, name: String) -> Answer<Resource<Secret>> {
        match done(&self.session, Call::OpenSecret { name: name.clone() }).await? {
            Ok(()) => Ok(Ok(self.table.push(Secret { name })?)),
            Err(failure) => Ok(Err(failure)),
        }
    }
}

impl secrets::HostSecret for State {
    async fn name(&mut self, secret: Resource<Secret>) -> wasmtime::Result<String> {
        Ok(self.table.get(&secret)?.name.clone())
    }

    async fn drop(&mut self, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

impl From<ReleaseInfo> for apps::ReleaseInfo {
    fn from(release: ReleaseInfo) -> Self {
        let ReleaseInfo { id, version, digest } = release;
        Self { id, version, digest }
    }
}

/// A call that answers with a release or with none.
async fn maybe_release(session: &Session, call: Call) -> Answer<Option<apps::ReleaseInfo>> {
    match session.call(call).await? {
        Reply::Release(release) => Ok(Ok(Some(release.into()))),
        Reply::NoRelease => Ok(Ok(None)),
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl apps::Host for State {
    async fn current(&mut self, app: String) -> Answer<Option<apps::ReleaseInfo>> {
        maybe_release(&self.session, Call::CurrentRelease { app }).await
    }

    async fn release(&mut self, app: String, digest: String) -> Answer<apps::ReleaseInfo> {
        match self.session.call(Call::Release { app, digest }).await? {
            Reply::Release(release) => Ok(Ok(release.into())),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn health(&mut self, release: String, path: String, within_ms: u32) -> Answer<apps::HealthInfo> {
        match self.session.call(Call::Health { release, path, within_ms }).await? {
            Reply::Health(health) => Ok(Ok(apps::HealthInfo {
                healthy: health.healthy,
                status: health.status,
                message: health.message,
                time_us: health.time_us,
            })),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn switch(&mut self, release: String) -> Answer<()> {
        done(&self.session, Call::Switch { release }).await
    }

    async fn restore(&mut self, app: String) -> Answer<Option<apps::ReleaseInfo>> {
        maybe_release(&self.session, Call::Restore { app }).await
    }

    async fn address(&mut self, app: String) -> Answer<String> {
        match self.session.call(Call::Address { app }).await? {
            Reply::Address { url } => Ok(Ok(url)),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }
}
