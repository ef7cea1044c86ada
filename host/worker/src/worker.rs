//! The worker: takes leases, runs them, says how they ended.

use crate::confine::Prepared;
use crate::link::{self, Duties, Identity, Leases, Link};
use crate::log::Log;
use crate::outbox::{Outbox, Standing};
use crate::runtime::component::{Components, Ready};
use crate::runtime::execute::{Ending, describe, execute};
use crate::session::Session;
use crate::tools::Tools;
use crate::transfer::{Proof, Transfer};
use crate::watchdog::Watchdog;
use crate::workspace::Workspace;
use slipway_domain::Digest;
use slipway_domain::outcome::{Fault, Outcome, Unhappy};
use slipway_domain::plugin::Kind;
use slipway_protocol::lease::Component;
use slipway_protocol::message::{Description, Undescribed};
use slipway_protocol::{FromWorker, Lease, PREPARE_SECONDS_MAX};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// How long a worker that is stopped in good order waits for what it runs. What does not
/// end by then is stopped and handed back, for another to take up.
const DRAIN: Duration = Duration::from_secs(5);
/// How long it waits for control to take back what it hands back.
const HAND_BACK: Duration = Duration::from_secs(2);

/// What a worker is started with.
pub struct Options {
    /// Control's URL.
    pub control: String,
    /// The token that control accepts.
    pub token: String,
    /// The name of this process, new at each start.
    pub name: String,
    /// How many leases it takes at once.
    pub slots: u32,
}

/// Why a worker stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine cannot be built.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
    /// No thread or client could be made.
    #[error("cannot start the worker")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Control does not accept the worker.
    #[error(transparent)]
    Link(#[from] link::Error),
}

/// Runs a worker that was made ready on this thread until `stop` is cancelled or control refuses it.
pub fn run(options: Options, prepared: Prepared, stop: &CancellationToken) -> Result<(), Error> {
    let Prepared { folder, launcher, compiler } = prepared;
    let components = Components::new(compiler).map_err(|error| Error::Engine(format!("{error:#}")))?;
    let guests = tokio::runtime::Builder::new_multi_thread()
        .thread_name("guests")
        .enable_all()
        .build()
        .map_err(|error| Error::Start(error.into()))?;
    let transfer = Transfer::new(&options.control, &options.token, folder.join("received"))
        .map_err(|error| Error::Start(error.into()))?;
    let watchdog = Watchdog::start().map_err(|error| Error::Start(error.into()))?;
    let worker = Worker(Arc::new(Inner {
        components: Arc::new(components),
        transfer,
        tools: Tools::new(folder.clone(), launcher),
        work: folder.join("work"),
        guests: guests.handle().clone(),
        watchdog,
    }));
    let identity =
        Identity { control: options.control, token: options.token, worker: options.name, slots: options.slots };
    let leases = Leases::watched().map_err(|error| Error::Start(error.into()))?;
    let mut link = Link::new(identity, worker, Arc::clone(&leases));
    let wire = link.wire();
    let linking = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Start(error.into()))?;
    let result = linking.block_on(async {
        let drained = async {
            stop.cancelled().await;
            // The receiver lives as long as the link.
            let _closing = wire.send(FromWorker::Draining);
            if tokio::time::timeout(DRAIN, until_idle(&leases)).await.is_err() {
                // As above.
                let _closing = wire.send(FromWorker::HandBack { epochs: leases.stop_all() });
                // A control that cannot be reached takes them back when they run out.
                let _unheard = tokio::time::timeout(HAND_BACK, until_idle(&leases)).await.is_err();
            }
        };
        tokio::select! {
            error = link.run() => Err(Error::Link(error)),
            () = drained => Ok(()),
        }
    });
    guests.shutdown_background();
    result
}

/// Waits until no lease is held.
async fn until_idle(leases: &Leases) {
    while leases.count() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What leases need to be run.
#[derive(Clone)]
struct Worker(Arc<Inner>);

struct Inner {
    components: Arc<Components>,
    transfer: Transfer,
    tools: Tools,
    work: PathBuf,
    guests: Handle,
    watchdog: Watchdog,
}

impl Duties for Worker {
    fn run(&self, lease: Lease, outbox: Arc<Outbox>) {
        let worker = self.clone();
        self.0.guests.spawn(async move { worker.attempt(lease, outbox).await });
    }

    fn describe(&self, component: Component, answer: Box<dyn FnOnce(Result<Description, Undescribed>) + Send>) {
        let worker = self.clone();
        self.0.guests.spawn(async move { answer(worker.describe(&component).await) });
    }
}

impl Worker {
    /// Runs one attempt from its lease to its end.
    async fn attempt(&self, lease: Lease, outbox: Arc<Outbox>) {
        let inner = &self.0;
        let log = Log::new(Arc::clone(&outbox), lease.limits.log_bytes, inner.guests.clone());
        let workspace = Workspace::new(&inner.work, inner.transfer.clone(), &lease);
        let (component, proof) = (lease.component.clone(), Proof::of(&lease));
        let limit = Duration::from_millis(lease.limits.wall_ms);
        let Some(kind) = Kind::parse(&lease.kind) else {
            let fault = Fault::Host { message: format!("control asks for a stage of kind `{}`", lease.kind) };
            // A lost lease has nobody to tell.
            let _fenced = outbox.end(Outcome::Unhappy(Unhappy::Errored(fault)).into(), Default::default());
            return;
        };
        let (transfer, tools) = (inner.transfer.clone(), inner.tools.clone());
        let session = Session::new(lease, kind, Arc::clone(&outbox), Arc::clone(&log), transfer, workspace, tools);
        let ending = match self.prepare(&component, &proof, &session).await {
            Ok(ready) => {
                let _watch = inner.watchdog.watch(limit, &session);
                execute(inner.components.engine(), &ready, &session).await
            }
            Err(Some(unhappy)) => Some(Ending::before_the_call(unhappy)),
            Err(None) => None,
        };
        let is_quiet = session.tools_ended().await;
        if is_quiet {
            inner.tools.take_back(&session);
        } else {
            // What still writes there could lead its removal elsewhere: the next start removes it.
            tracing::warn!(run.id = session.lease.run, stage = session.lease.stage, "a tool does not end");
        }
        if let Some(ending) = ending {
            log.finish();
            let mut metering = session.metering();
            metering.call_us = u64::try_from(ending.time.as_micros()).unwrap_or(u64::MAX);
            metering.memory_peak_bytes = ending.memory_peak_bytes;
            // A lost lease has nobody to tell.
            let _fenced = outbox.end(ending.outcome.into(), metering);
        }
        if is_quiet {
            // Nobody waits for that.
            session.workspace.remove().await;
        }
    }

    /// Fetches and compiles the component, within its time and until the run is cancelled. `None`
    /// when the lease is lost meanwhile.
    async fn prepare(
        &self,
        component: &Component,
        proof: &Proof,
        session: &Session,
    ) -> Result<Arc<Ready>, Option<Unhappy>> {
        let limit = Duration::from_secs(PREPARE_SECONDS_MAX);
        let mut standing = session.standing();
        tokio::select! {
            biased;
            ready = tokio::time::timeout(limit, self.ready(component, proof)) => match ready {
                Ok(ready) => ready.map_err(|fault| Some(Unhappy::Errored(fault))),
                Err(_elapsed) => {
                    let message = format!("plugin `{}` was not ready within {PREPARE_SECONDS_MAX} s", component.name);
                    Err(Some(Unhappy::Errored(Fault::Host { message })))
                }
            },
            // The sender lives as long as the session.
            _changed = standing.wait_for(|standing| *standing != Standing::Held) => {
                Err(if session.is_lost() { None } else { Some(Unhappy::Cancelled) })
            }
        }
    }

    /// The component, compiled and linked.
    async fn ready(&self, component: &Component, proof: &Proof) -> Result<Arc<Ready>, Fault> {
        let unusable = |reason: String| Fault::Plugin { plugin: component.name.clone(), reason };
        let digest = Digest::new(component.digest.clone()).map_err(|error| unusable(error.to_string()))?;
        if let Some(ready) = self.0.components.get(&digest) {
            return Ok(ready);
        }
        let bytes = self.0.transfer.component(&digest, Some(proof)).await;
        let bytes = bytes.map_err(|error| Fault::Host { message: chain(&error) })?;
        let components = Arc::clone(&self.0.components);
        let compiled = tokio::task::spawn_blocking(move || components.compile(&digest, &bytes)).await;
        match compiled {
            Ok(Ok(ready)) => Ok(ready),
            Ok(Err(unfit)) if unfit.is_passing() => Err(Fault::Host { message: unfit.to_string() }),
            Ok(Err(unfit)) => Err(unusable(unfit.to_string())),
            Err(error) => Err(Fault::Host { message: format!("compilation broke off: {error}") }),
        }
    }

    async fn describe(&self, component: &Component) -> Result<Description, Undescribed> {
        let digest = Digest::new(component.digest.clone()).map_err(|error| Undescribed::passing(error.to_string()))?;
        let bytes = self.0.transfer.component(&digest, None).await;
        let bytes = bytes.map_err(|error| Undescribed::passing(chain(&error)))?;
        let components = Arc::clone(&self.0.components);
        let runtime = self.0.guests.clone();
        // Compilation takes long, so the whole of it goes where waiting is allowed.
        let described = tokio::task::spawn_blocking(move || runtime.block_on(describe(&components, &bytes))).await;
        described.unwrap_or_else(|error| Err(Undescribed::passing(format!("it could not be looked at: {error}"))))
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
