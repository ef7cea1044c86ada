//! Workers and what they hold.

use super::settle::Tell;
use super::{Inner, Scheduler};
use slipway_domain::run::Loss;
use slipway_domain::{Digest, Epoch, RunId, StageName};
use slipway_protocol::{END_SECONDS_MAX, FromControl, LEASE_TTL_SECONDS, PREPARE_SECONDS_MAX, Reply, UPLOAD_BYTES_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The most uploads under a lease.
const UPLOADS_MAX: usize = 2_000;

/// How long a lease holds without renewal.
const TTL: Duration = Duration::from_secs(LEASE_TTL_SECONDS);

/// For how long a suspect runs alone. One that has lived through that is beside the next as good
/// as nobody: a stage may take a day, and must not keep a worker from all others.
pub(super) const ALONE: Duration = Duration::from_secs(60);

/// The name of a worker process, new at each of its starts, behind that of its token.
pub type WorkerName = String;

/// A worker that has said hello.
pub(super) struct Worker {
    slots: usize,
    holds: BTreeSet<u64>,
    /// The lease beside which it gets no other, and until when.
    alone: Option<(u64, Instant)>,
    draining: bool,
    connection: Option<(u64, mpsc::UnboundedSender<FromControl>)>,
}

impl Worker {
    /// One that held leases of an earlier process and has not come back yet.
    pub(super) const fn absent() -> Self {
        Self { slots: 0, holds: BTreeSet::new(), alone: None, draining: false, connection: None }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it takes leases at all, sooner or later.
    pub(super) const fn takes(&self) -> bool {
        !self.draining && self.is_connected() && self.slots > 0
    }

    /// Whether this is the connection on which it speaks now.
    pub(super) fn is_on(&self, connection: u64) -> bool {
        self.connection.as_ref().is_some_and(|(current, _)| *current == connection)
    }

    pub(super) fn free_slots(&self) -> usize {
        let alone = self.alone.is_some_and(|(_, until)| Instant::now() < until);
        if self.takes() && !alone { self.slots.saturating_sub(self.holds.len()) } else { 0 }
    }

    pub(super) const fn holds(&self) -> &BTreeSet<u64> {
        &self.holds
    }

    /// Takes a lease, beside which it gets no other for [`ALONE`] if it is `alone`.
    pub(super) fn hold(&mut self, epoch: u64, alone: bool) {
        self.holds.insert(epoch);
        if alone {
            self.alone = Some((epoch, Instant::now() + ALONE));
        }
    }

    fn release(&mut self, epoch: u64) {
        self.holds.remove(&epoch);
        self.alone = self.alone.filter(|(alone, _)| *alone != epoch);
    }

    /// Says something; a worker that is not connected asks again when it is.
    pub(super) fn tell(&self, message: FromControl) {
        if let Some((_, to)) = &self.connection {
            // The connection is being taken down.
            let _closing = to.send(message);
        }
    }

    /// The acknowledgement of a frame, for the connection of now, to be said once it is durable.
    pub(super) fn acknowledgement(&self, epoch: u64, seq: u64) -> Option<Tell> {
        let (_, to) = self.connection.as_ref()?;
        Some((to.clone(), FromControl::Stored { epoch, seq }))
    }
}

/// An attempt that is held.
pub(super) struct Lease {
    pub(super) run: RunId,
    pub(super) stage: StageName,
    pub(super) worker: WorkerName,
    pub(super) expires: Instant,
    pub(super) began: Instant,
    /// When it is over, however often it is renewed.
    ends: Instant,
    /// The last frame that was taken.
    pub(super) last_seq: u64,
    /// The last frame that is known to be durable.
    pub(super) durable_seq: u64,
    /// Calls that are being answered, and whether the guest waits for it.
    pub(super) answering: BTreeMap<u64, bool>,
    /// Replies that are not on the durable journal yet.
    pub(super) answered: BTreeMap<u64, Reply>,
    /// What was uploaded under it: digest to size.
    pub(super) uploads: BTreeMap<String, u64>,
    /// All bytes that were uploaded under it.
    pub(super) upload_bytes: u64,
    /// What was logged under it, in bytes.
    pub(super) log_bytes: u64,
    /// How many calls there were under it.
    pub(super) calls: u64,
    /// Their size, in bytes.
    pub(super) call_bytes: u64,
}

impl Lease {
    /// A lease that begins now, for a stage that may take `timeout`. `last_seq` is the last frame
    /// that was taken under it before.
    pub(super) fn new(run: RunId, stage: StageName, worker: WorkerName, timeout: Duration, last_seq: u64) -> Self {
        let now = Instant::now();
        Self {
            run,
            stage,
            worker,
            expires: now + TTL,
            began: now,
            ends: now + Duration::from_secs(PREPARE_SECONDS_MAX + END_SECONDS_MAX) + timeout,
            last_seq,
            durable_seq: last_seq,
            answering: BTreeMap::new(),
            answered: BTreeMap::new(),
            uploads: BTreeMap::new(),
            upload_bytes: 0,
            log_bytes: 0,
            calls: 0,
            call_bytes: 0,
        }
    }

    /// It holds on from now, but not past its end.
    fn renew(&mut self) {
        self.expires = self.ends.min(Instant::now() + TTL);
    }
}

impl Scheduler {
    /// A worker has connected. Returns which of the leases that it says it holds still hold,
    /// each with the last frame that is durable; the other leases it had are lost. What an older
    /// connection of the same worker still says is heard no more.
    pub fn worker_connected(
        &self,
        name: &str,
        slots: u32,
        holds: &[u64],
        connection: u64,
        to: mpsc::UnboundedSender<FromControl>,
    ) -> Vec<(u64, u64)> {
        let mut inner = self.lock();
        let held: BTreeSet<u64> = inner
            .leases
            .iter_mut()
            .filter(|(epoch, lease)| lease.worker == name && holds.contains(epoch))
            .map(|(epoch, lease)| {
                lease.renew();
                *epoch
            })
            .collect();
        let resumed = held.iter().filter_map(|epoch| Some((*epoch, inner.leases.get(epoch)?.durable_seq))).collect();
        // Said while it was away, or by an earlier process of control.
        let stops: Vec<u64> = held.iter().copied().filter(|epoch| inner.is_stopped(*epoch)).collect();
        let worker = inner.workers.entry(name.to_owned()).or_insert_with(Worker::absent);
        worker.slots = usize::try_from(slots).unwrap_or(0);
        worker.connection = Some((connection, to));
        worker.draining = false;
        for epoch in stops {
            worker.tell(FromControl::Cancel { epoch });
        }
        let lost: Vec<u64> = worker.holds.difference(&held).copied().collect();
        // A lease that was on its way when the connection broke: the worker never had it.
        for epoch in lost {
            self.lose(&mut inner, epoch, Loss::Innocent);
        }
        self.dispatch(&mut inner);
        resumed
    }

    /// A connection has ended. What the worker holds, it keeps until the leases run out.
    pub fn worker_disconnected(&self, name: &str, connection: u64) {
        let mut inner = self.lock();
        if let Some(worker) = inner.workers.get_mut(name)
            && worker.is_on(connection)
        {
            worker.connection = None;
            if worker.holds.is_empty() {
                inner.workers.remove(name);
            }
        }
    }

    /// A worker takes no more.
    pub fn worker_draining(&self, name: &str) {
        if let Some(worker) = self.lock().workers.get_mut(name) {
            worker.draining = true;
        }
    }

    /// A worker has stopped what it held, without a fault of the stages: they go to others.
    pub fn hand_back(&self, name: &str, epochs: &[u64]) {
        let mut inner = self.lock();
        for epoch in epochs {
            if inner.leases.get(epoch).is_some_and(|lease| lease.worker == name) {
                // It is stopping, and would hand back what it got now.
                if let Some(worker) = inner.workers.get_mut(name) {
                    worker.draining = true;
                }
                self.lose(&mut inner, *epoch, Loss::Innocent);
            }
        }
        self.dispatch(&mut inner);
    }

    /// A worker process is known to be gone: what it held goes to others at once.
    pub fn worker_gone(&self, name: &str, loss: Loss) {
        let mut inner = self.lock();
        let Some(worker) = inner.workers.remove(name) else { return };
        for epoch in worker.holds {
            self.lose(&mut inner, epoch, loss);
        }
        self.dispatch(&mut inner);
    }

    /// Renews leases, and returns those that still held.
    pub fn renew(&self, name: &str, epochs: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let mut inner = self.lock();
        epochs.iter().copied().partition(|epoch| match inner.leases.get_mut(epoch) {
            Some(lease) if lease.worker == name => {
                lease.renew();
                true
            }
            Some(_) | None => false,
        })
    }

    /// Takes back what was not renewed. Called every second.
    pub fn expire(&self) {
        let now = Instant::now();
        let mut inner = self.lock();
        let over: Vec<u64> =
            inner.leases.iter().filter(|(_, lease)| lease.expires <= now).map(|(epoch, _)| *epoch).collect();
        for epoch in over {
            tracing::warn!(epoch, "a lease ran out");
            self.lose(&mut inner, epoch, Loss::Death);
        }
        inner.workers.retain(|_, worker| worker.is_connected() || !worker.holds.is_empty());
        self.dispatch(&mut inner);
    }

    /// What a lease is about, for who shows its key; for the routes of bulk data.
    pub fn holder(&self, epoch: u64, key: &str) -> Option<Holder> {
        if !self.keys.fits(epoch, key) {
            return None;
        }
        let inner = self.lock();
        let lease = inner.leases.get(&epoch)?;
        let active = inner.runs.get(&lease.run)?;
        Some(Holder {
            repository: active.row.repository.clone(),
            revision: active.row.revision.clone(),
            component: active.pipeline.checked.stages.get(&lease.stage)?.digest.clone(),
        })
    }

    /// Whether a lease still holds.
    pub fn is_held(&self, epoch: u64) -> bool {
        self.lock().leases.contains_key(&epoch)
    }

    /// Whether the holder of a lease may read an artifact: one of a stage that it needs, or
    /// one that it has stored itself.
    pub fn may_read(&self, epoch: u64, digest: &str) -> bool {
        let inner = self.lock();
        let Some(lease) = inner.leases.get(&epoch) else { return false };
        let Some(active) = inner.runs.get(&lease.run) else { return false };
        active.has_stored(&lease.stage, digest) || active.is_input(&lease.stage, digest)
    }

    /// Whether a digest is that of an artifact of a stage that this one needs.
    pub fn is_input(&self, run: &RunId, stage: &StageName, digest: &str) -> bool {
        self.lock().runs.get(run).is_some_and(|active| active.is_input(stage, digest))
    }

    /// How many bytes may still be uploaded under a lease.
    pub fn upload_bytes_left(&self, epoch: u64) -> u64 {
        let inner = self.lock();
        let Some(lease) = inner.leases.get(&epoch) else { return 0 };
        if lease.uploads.len() >= UPLOADS_MAX { 0 } else { UPLOAD_BYTES_MAX.saturating_sub(lease.upload_bytes) }
    }

    /// Remembers what was uploaded under a lease, or refuses it: of several uploads at once each
    /// began with the same room before it.
    pub fn uploaded(&self, epoch: u64, digest: &str, size: u64) -> bool {
        let mut inner = self.lock();
        let Some(lease) = inner.leases.get_mut(&epoch) else { return false };
        let bytes = lease.upload_bytes.saturating_add(size);
        if bytes > UPLOAD_BYTES_MAX || lease.uploads.len() >= UPLOADS_MAX {
            return false;
        }
        lease.uploads.insert(digest.to_owned(), size);
        lease.upload_bytes = bytes;
        true
    }
}

/// What the holder of a lease works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The address of the repository.
    pub repository: String,
    /// The commit.
    pub revision: String,
    /// The plugin.
    pub component: Digest,
}

impl Inner {
    /// Ends a lease, whatever became of it, and returns it.
    pub(super) fn take_lease(&mut self, epoch: u64) -> Option<Lease> {
        let lease = self.leases.remove(&epoch)?;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.release(epoch);
        }
        Some(lease)
    }

    /// Whether the holder of a lease has been told to stop.
    fn is_stopped(&self, epoch: u64) -> bool {
        let active = self.leases.get(&epoch).and_then(|lease| self.runs.get(&lease.run));
        active.is_some_and(|active| active.run.stops().any(|(_, stop)| stop == Epoch(epoch)))
    }
}
