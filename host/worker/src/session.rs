//! One attempt under a lease: what the guest is told, and its ways out.

use crate::clock;
use crate::log::Log;
use crate::outbox::{Fenced, Outbox, Standing};
use crate::runtime::wit::v0::slipway::stage::tools::Command;
use crate::tools::{ToolProcess, Tools};
use crate::transfer::{self, Proof, Transfer, Uploaded};
use crate::workspace::Workspace;
use slipway_domain::Digest;
use slipway_domain::plugin::Kind;
use slipway_protocol::UPLOAD_BYTES_MAX;
use slipway_protocol::call::{ToolExit, ToolPlan};
use slipway_protocol::lease::{Artifact, Input};
use slipway_protocol::message::Metering;
use slipway_protocol::outcome::Failure;
use slipway_protocol::{Call, Lease, Reply};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long tools may take to be gone once they are killed.
const TOOLS_END: Duration = Duration::from_secs(10);

/// One attempt under a lease.
pub struct Session {
    /// What it is about.
    pub lease: Lease,
    /// The stage's kind.
    pub kind: Kind,
    /// Its log.
    pub log: Arc<Log>,
    /// Its folders.
    pub workspace: Workspace,
    outbox: Arc<Outbox>,
    transfer: Transfer,
    tools: Tools,
    running_tools: TaskTracker,
    began: Instant,
    /// When the guest's time began to run, which is later: its component is compiled first.
    called_at: OnceLock<Instant>,
    first_call: OnceLock<Duration>,
    left: Mutex<Input>,
    uploaded: AtomicU64,
    metering: Mutex<Metering>,
    steps: AtomicU64,
}

impl Session {
    /// Begins an attempt.
    pub fn new(
        lease: Lease,
        kind: Kind,
        outbox: Arc<Outbox>,
        log: Arc<Log>,
        transfer: Transfer,
        workspace: Workspace,
        tools: Tools,
    ) -> Arc<Self> {
        let before = lease.inputs.iter().find(|input| input.stage == lease.stage);
        let nothing = || Input { stage: lease.stage.clone(), artifacts: Vec::new(), outputs: BTreeMap::new() };
        let left = Mutex::new(before.cloned().unwrap_or_else(nothing));
        Arc::new(Self {
            lease,
            kind,
            log,
            workspace,
            began: outbox.made(),
            called_at: OnceLock::new(),
            first_call: OnceLock::new(),
            outbox,
            transfer,
            tools,
            running_tools: TaskTracker::new(),
            left,
            uploaded: AtomicU64::new(0),
            metering: Mutex::default(),
            steps: AtomicU64::new(1),
        })
    }

    /// Notes that the guest calls a host function. Only the first time tells anything.
    pub fn called(&self) {
        self.first_call.get_or_init(|| self.began.elapsed());
    }

    /// Forwards a call and waits for its reply.
    pub async fn call(&self, call: Call) -> Result<Reply, Fenced> {
        self.numbered_call(call).await.map(|(_, reply)| reply)
    }

    /// Forwards a call and returns its number with the reply.
    pub async fn numbered_call(&self, call: Call) -> Result<(u64, Reply), Fenced> {
        self.log.flush();
        self.meter(|metering| metering.calls += 1);
        let (seq, reply) = self.outbox.call(call)?;
        reply.await.map(|reply| (seq, reply)).map_err(|_closed| Fenced)
    }

    /// Sends the bytes of an artifact to control.
    pub async fn upload(&self, body: impl Fn() -> io::Result<reqwest::Body>) -> Result<Uploaded, transfer::Error> {
        let uploaded = self.transfer.upload(&Proof::of(&self.lease), body).await?;
        self.uploaded.fetch_add(uploaded.size, Ordering::Relaxed);
        Ok(uploaded)
    }

    /// How many bytes may still be uploaded under the lease.
    pub fn upload_bytes_left(&self) -> u64 {
        UPLOAD_BYTES_MAX.saturating_sub(self.uploaded.load(Ordering::Relaxed))
    }

    /// Whether the guest may read an artifact: one of its inputs, or its own.
    pub fn may_read(&self, digest: &Digest) -> bool {
        let among_inputs = self
            .lease
            .inputs
            .iter()
            .flat_map(|input| &input.artifacts)
            .any(|artifact| artifact.digest == digest.as_str());
        among_inputs || self.left().artifacts.iter().any(|artifact| artifact.digest == digest.as_str())
    }

    /// What an earlier stage has left, when this one needs it, or what this one has left
    /// itself: in this call and in its earlier phases.
    pub fn input<T>(&self, stage: &str, read: impl FnOnce(&Input) -> T) -> Option<T> {
        if stage == self.lease.stage {
            return Some(read(&self.left()));
        }
        self.lease.inputs.iter().find(|input| input.stage == stage).map(read)
    }

    /// Remembers an artifact that this attempt has stored.
    pub fn stored(&self, artifact: &Artifact) {
        let mut left = self.left();
        if !left.artifacts.contains(artifact) {
            left.artifacts.push(artifact.clone());
        }
    }

    /// Remembers an output that this attempt has set.
    pub fn set(&self, name: String, value: String) {
        self.left().outputs.insert(name, value);
    }

    fn left(&self) -> MutexGuard<'_, Input> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches an artifact that [`Self::may_read`] permits.
    pub async fn artifact(&self, digest: &Digest) -> Result<File, transfer::Error> {
        self.transfer.artifact(&Proof::of(&self.lease), digest).await
    }

    /// Starts a tool by the operator's plan. `seq` is the number of the call that asked.
    pub async fn start_tool(
        self: &Arc<Self>,
        seq: u64,
        plan: ToolPlan,
        command: Command,
    ) -> Result<ToolProcess, Failure> {
        if let Err(error) = self.workspace.root().await {
            return Err(Failure::new("host", format!("{:#}", wasmtime::Error::new(error))));
        }
        self.tools.start(self, seq, plan, command).await
    }

    /// Counts a tool as running until this is dropped.
    pub fn tool_begins(&self) -> TaskTrackerToken {
        self.running_tools.token()
    }

    /// Waits until no tool runs that the guest has started and let go, which ends them. After
    /// this nothing changes the workspace. `false` when that takes too long.
    pub async fn tools_ended(&self) -> bool {
        self.running_tools.close();
        tokio::time::timeout(TOOLS_END, self.running_tools.wait()).await.is_ok()
    }

    /// Puts a tool's end on the record.
    pub async fn tool_exited(&self, start: u64, exit: ToolExit) {
        self.meter(|metering| {
            metering.tool_cpu_ms += exit.cpu_ms;
            metering.tool_memory_peak_bytes = metering.tool_memory_peak_bytes.max(exit.memory_peak_bytes);
        });
        // Without the lease there is no record to put it on.
        let _fenced = self.call(Call::ToolExited { start, exit }).await;
    }

    /// How long the guest may take.
    pub fn limit(&self) -> Duration {
        Duration::from_millis(self.lease.limits.wall_ms)
    }

    /// The guest is called now: from here on its time is counted.
    pub fn call_begins(&self) {
        self.called_at.get_or_init(clock::instant);
    }

    /// Time left before the call is ended.
    pub fn remaining(&self) -> Duration {
        self.limit().saturating_sub(self.called_at.get().map_or(Duration::ZERO, Instant::elapsed))
    }

    /// Whether somebody has cancelled the run.
    pub fn is_cancelled(&self) -> bool {
        *self.standing().borrow() != Standing::Held
    }

    /// Whether the lease is lost.
    pub fn is_lost(&self) -> bool {
        *self.standing().borrow() == Standing::Lost
    }

    /// How the lease stands, now and later.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.outbox.standing()
    }

    /// A number for a step, new in this attempt.
    pub fn next_step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// What the attempt has taken so far.
    pub fn metering(&self) -> Metering {
        let mut metering = *self.metering.lock().unwrap_or_else(PoisonError::into_inner);
        metering.wall_us = micros(self.began.elapsed());
        metering.first_call_us = self.first_call.get().copied().map(micros);
        metering.log_bytes = self.log.bytes();
        metering
    }

    fn meter(&self, add: impl FnOnce(&mut Metering)) {
        add(&mut self.metering.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "session_left_tests.rs"]
mod left_tests;
