//! `tools`: native programs, as the operator lets them run.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::secrets::Secret;
use super::slipway::stage::tools;
use super::{Answer, failure, odd};
use crate::outbox::Standing;
use crate::runtime::state::State;
use crate::session::Session;
use crate::tools::{ToolEvent, ToolProcess, check_words, is_variable};
use slipway_domain::key::{NAME_RULE, is_name};
use slipway_domain::text::cut;
use slipway_protocol::call::ToolExit;
use slipway_protocol::secret::{Place, ToolSecret};
use slipway_protocol::{Call, Reply};
use std::time::Duration;
use wasmtime::component::Resource;

/// A tool that a guest has started.
pub struct Process(ToolProcess);

/// A command with secrets that a guest is putting together.
pub struct Launch {
    command: tools::Command,
    secrets: Vec<ToolSecret<String>>,
}

/// The most secrets of a command. More are told as too many when it is started.
const SECRETS_MAX: usize = 64;

impl State {
    async fn start_with(
        &mut self,
        command: tools::Command,
        secrets: Vec<ToolSecret<String>>,
    ) -> Answer<Resource<Process>> {
        // Before it is forwarded, so that no message is longer than it may be.
        if let Err(failure) = check_words(&command) {
            return Ok(Err(failure.into()));
        }
        let call = Call::StartTool {
            tool: command.tool.clone(),
            program: command.program.clone(),
            args: command.args.clone(),
            directory: command.directory.clone(),
            env: command.env.iter().map(|(name, _)| name.clone()).collect(),
            secrets,
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

impl tools::Host for State {
    async fn start(&mut self, command: tools::Command) -> Answer<Resource<Process>> {
        self.start_with(command, Vec::new()).await
    }
}

impl State {
    fn give(&mut self, launch: &Resource<Launch>, secret: &Resource<Secret>, place: Place) -> wasmtime::Result<()> {
        let secret = self.table.get(secret)?.name.clone();
        let launch = self.table.get_mut(launch)?;
        if launch.secrets.len() <= SECRETS_MAX {
            launch.secrets.push(ToolSecret { secret, place });
        }
        Ok(())
    }
}

impl tools::HostLaunch for State {
    async fn new(&mut self, command: tools::Command) -> wasmtime::Result<Resource<Launch>> {
        Ok(self.table.push(Launch { command, secrets: Vec::new() })?)
    }

    async fn secret_env(
        &mut self,
        launch: Resource<Launch>,
        name: String,
        secret: Resource<Secret>,
    ) -> wasmtime::Result<()> {
        self.give(&launch, &secret, Place::Env(name))
    }

    async fn secret_file(
        &mut self,
        launch: Resource<Launch>,
        name: String,
        secret: Resource<Secret>,
    ) -> wasmtime::Result<()> {
        self.give(&launch, &secret, Place::File(name))
    }

    async fn secret_stdin(&mut self, launch: Resource<Launch>, secret: Resource<Secret>) -> wasmtime::Result<()> {
        self.give(&launch, &secret, Place::Stdin)
    }

    async fn start(&mut self, launch: Resource<Launch>) -> Answer<Resource<Process>> {
        let Launch { command, secrets } = self.table.get(&launch)?;
        if secrets.len() > SECRETS_MAX {
            return Ok(Err(failure("too-large", format!("a program gets at most {SECRETS_MAX} secrets"))));
        }
        if let Some(wrong) = secrets.iter().find_map(|secret| misplaced(&secret.place)) {
            return Ok(Err(failure("invalid-command", wrong)));
        }
        let (command, secrets) = (command.clone(), secrets.clone());
        self.start_with(command, secrets).await
    }

    async fn drop(&mut self, launch: Resource<Launch>) -> wasmtime::Result<()> {
        self.table.delete(launch)?;
        Ok(())
    }
}

/// Why a secret cannot go where a guest wants it.
fn misplaced(place: &Place) -> Option<String> {
    match place {
        Place::Env(name) if !is_variable(name) => {
            Some(format!("variable `{}` cannot be set", cut(name, 128).escape_debug()))
        }
        Place::File(name) if !is_name(name) => {
            Some(format!("`{}` cannot name a file: {NAME_RULE}", cut(name, 128).escape_debug()))
        }
        Place::Env(_) | Place::File(_) | Place::Stdin => None,
    }
}

impl tools::HostProcess for State {
    async fn next(&mut self, process: Resource<Process>, within_ms: u32) -> Answer<Option<tools::Event>> {
        let process = &mut self.table.get_mut(&process)?.0;
        let next = until_late(&self.session, within_ms, process.next()).await;
        Ok(next.transpose().map(|event| event.map(Into::into)).map_err(Into::into))
    }

    async fn wait(&mut self, process: Resource<Process>, within_ms: u32) -> Answer<Option<tools::Exit>> {
        let process = &mut self.table.get_mut(&process)?.0;
        let exit = until_late(&self.session, within_ms, process.wait()).await;
        Ok(exit.transpose().map(|exit| exit.map(Into::into)).map_err(Into::into))
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

/// Waits for something, but not for longer than it was asked for, and not past the moment at
/// which the run is cancelled: the guest should then look around.
async fn until_late<T>(session: &Session, within_ms: u32, what: impl Future<Output = T>) -> Option<T> {
    let cancelled = async {
        // One that goes on after it was cancelled is not hurried again.
        if session.is_cancelled() {
            return std::future::pending().await;
        }
        // The sender lives as long as the session.
        let _closing = session.standing().wait_for(|standing| *standing != Standing::Held).await.is_err();
    };
    tokio::select! {
        biased;
        what = what => Some(what),
        () = cancelled => None,
        () = tokio::time::sleep(Duration::from_millis(within_ms.into())) => None,
    }
}

impl From<ToolEvent> for tools::Event {
    fn from(event: ToolEvent) -> Self {
        let (name, bytes) = match event {
            ToolEvent::Output(stream, bytes) => (stream, bytes),
            ToolEvent::Ended => ("ended", Vec::new()),
        };
        Self { name: name.to_owned(), bytes, details: Vec::new() }
    }
}

impl From<ToolExit> for tools::Exit {
    fn from(exit: ToolExit) -> Self {
        let ToolExit { code, signal, cpu_ms, memory_peak_bytes, wall_ms } = exit;
        Self { code, signal, cpu_ms, memory_peak_bytes, wall_ms, details: Vec::new() }
    }
}
