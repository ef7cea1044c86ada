//! One attempt under a lease: what the guest is told, and its ways out.

use crate::log::Log;
use crate::outbox::{Fenced, Outbox, Standing};
use crate::runtime::wit::v0::slipway::stage::tools::Command;
use crate::tools::{ToolProcess, Tools};
use crate::transfer::{self, Proof, Transfer, Uploaded};
use crate::workspace::Workspace;
use slipway_domain::Digest;
use slipway_domain::plugin::Kind;
use slipway_protocol::call::{ToolExit, ToolPlan};
use slipway_protocol::message::Metering;
use slipway_protocol::outcome::Failure;
use slipway_protocol::{Call, Lease, Reply};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

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
    began: Instant,
    first_call: OnceLock<Duration>,
    own: Mutex<BTreeSet<Digest>>,
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
        Arc::new(Self {
            lease,
            kind,
            log,
            workspace,
            began: outbox.made(),
            first_call: OnceLock::new(),
            outbox,
            transfer,
            tools,
            own: Mutex::default(),
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
        self.transfer.upload(&Proof::of(&self.lease), body).await
    }

    /// Whether the guest may read an artifact: one of its inputs, or its own.
    pub fn may_read(&self, digest: &Digest) -> bool {
        let among_inputs = self
            .lease
            .inputs
            .iter()
            .flat_map(|input| &input.artifacts)
            .any(|artifact| artifact.digest == digest.as_str());
        among_inputs || self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }

    /// Remembers an artifact that this attempt has stored.
    pub fn own(&self, digest: &str) {
        if let Ok(digest) = Digest::new(digest) {
            self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        }
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

    /// Puts a tool's end on the record.
    pub async fn tool_exited(&self, start: u64, exit: ToolExit) {
        self.meter(|metering| {
            metering.tool_cpu_ms += exit.cpu_ms;
            metering.tool_memory_peak_bytes = metering.tool_memory_peak_bytes.max(exit.memory_peak_bytes);
        });
        // Without the lease there is no record to put it on.
        let _fenced = self.call(Call::ToolExited { start, exit }).await;
    }

    /// Time left before the call is ended.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(self.lease.limits.wall_ms).saturating_sub(self.began.elapsed())
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
