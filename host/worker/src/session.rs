//! One attempt under a lease: what the guest is told, and its ways out.

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
        self.called_at.get_or_init(Instant::now);
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
mod tests {
    use super::*;
    use slipway_protocol::lease::{Component, Limits};
    use tokio::runtime::Handle;

    fn artifact(name: &str, digit: char) -> Artifact {
        let digest = format!("sha256:{}", digit.to_string().repeat(64));
        Artifact { name: name.into(), digest, size: 1, media_type: "text/plain".into() }
    }

    fn input(stage: &str, artifact: Artifact) -> Input {
        Input { stage: stage.into(), artifacts: vec![artifact], outputs: [("a".into(), "1".into())].into() }
    }

    /// A session of stage `deploy`, which needs `build` and has itself left something before.
    fn session(folder: &std::path::Path) -> Arc<Session> {
        let lease = Lease {
            epoch: 1,
            key: String::new(),
            run: "01J00000000000000000000000".into(),
            pipeline: "shop".into(),
            stage: "deploy".into(),
            kind: "deploy".into(),
            phase: "rollback".into(),
            attempt: 1,
            revision: "0".repeat(40),
            reference: "refs/tags/v1.0.0".into(),
            version: None,
            environment: None,
            config: "{}".into(),
            parameters: BTreeMap::new(),
            component: Component { name: "app".into(), digest: String::new() },
            limits: Limits { wall_ms: 60_000, memory_bytes: 0, log_bytes: 0 },
            inputs: vec![input("build", artifact("app", '1')), input("deploy", artifact("note", '2'))],
            began_at_us: 0,
        };
        let (wire, _unheard) = tokio::sync::mpsc::unbounded_channel();
        let outbox = Arc::new(Outbox::new(1, wire));
        let log = Log::new(Arc::clone(&outbox), 0, Handle::current());
        let transfer = Transfer::new("http://127.0.0.1:9", "", folder.join("received")).unwrap();
        let workspace = Workspace::new(folder, transfer.clone(), &lease);
        let tools = Tools::new(folder.to_owned(), folder.join("init"));
        Session::new(lease, Kind::Deploy, outbox, log, transfer, workspace, tools)
    }

    #[tokio::test]
    async fn the_time_that_is_left_counts_from_the_call() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path());
        let pause = Duration::from_millis(20);
        tokio::time::sleep(pause).await;
        assert_eq!(session.remaining(), session.limit(), "the component is still being compiled");
        session.call_begins();
        tokio::time::sleep(pause).await;
        assert!(session.remaining() <= session.limit() - pause, "{:?}", session.remaining());
    }

    #[tokio::test]
    async fn what_a_stage_leaves_is_among_what_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path());
        let outputs = |stage: &str| session.input(stage, |input| input.outputs.clone());
        let may_read = |digit| session.may_read(&Digest::new(artifact("", digit).digest).unwrap());
        assert_eq!(outputs("deploy").unwrap()["a"], "1");
        assert!(outputs("other").is_none());
        session.set("b".into(), "2".into());
        assert_eq!(outputs("deploy").unwrap()["b"], "2");
        assert!(!outputs("build").unwrap().contains_key("b"));
        assert!(may_read('1') && may_read('2') && !may_read('3'));
        for _ in 0..2 {
            session.stored(&artifact("more", '3'));
        }
        assert!(may_read('3'));
        assert_eq!(session.input("deploy", |input| input.artifacts.len()), Some(2));
    }
}
