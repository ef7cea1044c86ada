//! Workers and what they hold.

use super::{Inner, Scheduler};
use slipway_domain::run::Loss;
use slipway_domain::{RunId, StageName};
use slipway_protocol::{FromControl, LEASE_TTL_SECONDS};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The name of a worker process, new at each of its starts.
pub type WorkerName = String;

/// A worker that has said hello.
pub(super) struct Worker {
    pub(super) slots: usize,
    pub(super) holds: BTreeSet<u64>,
    pub(super) draining: bool,
    connection: Option<(u64, mpsc::UnboundedSender<FromControl>)>,
}

impl Worker {
    /// One that held leases of an earlier process and has not come back yet.
    pub(super) const fn absent() -> Self {
        Self { slots: 0, holds: BTreeSet::new(), draining: false, connection: None }
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn free_slots(&self) -> usize {
        if self.draining || !self.is_connected() { 0 } else { self.slots.saturating_sub(self.holds.len()) }
    }

    /// Says something; a worker that is not connected asks again when it is.
    pub(super) fn tell(&self, message: FromControl) {
        if let Some((_, to)) = &self.connection {
            // The connection is being taken down.
            let _closing = to.send(message);
        }
    }

    pub(super) fn sender(&self) -> Option<mpsc::UnboundedSender<FromControl>> {
        self.connection.as_ref().map(|(_, to)| to.clone())
    }
}

/// An attempt that is held.
pub(super) struct Lease {
    pub(super) run: RunId,
    pub(super) stage: StageName,
    pub(super) worker: WorkerName,
    pub(super) expires: Instant,
    /// The last frame that was taken.
    pub(super) last_seq: u64,
    /// Calls that are being answered.
    pub(super) answering: BTreeSet<u64>,
    /// What was uploaded under it: digest to size.
    pub(super) uploads: BTreeMap<String, u64>,
}

/// When a lease given or renewed now is over.
pub(super) fn expiry() -> Instant {
    Instant::now() + Duration::from_secs(LEASE_TTL_SECONDS)
}

impl Scheduler {
    /// A worker has connected. Returns which of the leases that it says it holds still hold,
    /// each with the last frame that was taken; the other leases it had are lost.
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
                lease.expires = expiry();
                *epoch
            })
            .collect();
        let resumed = held.iter().filter_map(|epoch| Some((*epoch, inner.leases.get(epoch)?.last_seq))).collect();
        let worker = inner.workers.entry(name.to_owned()).or_insert_with(Worker::absent);
        worker.slots = usize::try_from(slots).unwrap_or(0).min(1024);
        worker.connection = Some((connection, to));
        let lost: Vec<u64> = worker.holds.difference(&held).copied().collect();
        worker.holds = held;
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
            && worker.connection.as_ref().is_some_and(|(current, _)| *current == connection)
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
                lease.expires = expiry();
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

    /// Whether a worker holds a lease; for the routes of bulk data.
    pub fn holds(&self, epoch: u64) -> Option<(RunId, StageName)> {
        self.lock().leases.get(&epoch).map(|lease| (lease.run.clone(), lease.stage.clone()))
    }

    /// Whether the holder of a lease may read an artifact: one of a stage that it needs, or
    /// one that it has stored itself.
    pub fn may_read(&self, epoch: u64, digest: &str) -> bool {
        let inner = self.lock();
        let Some(lease) = inner.leases.get(&epoch) else { return false };
        let Some(active) = inner.runs.get(&lease.run) else { return false };
        let own = active
            .left
            .get(&lease.stage)
            .is_some_and(|left| left.artifacts.iter().any(|(_, artifact)| artifact.digest == digest));
        let input = active
            .inputs(&lease.stage)
            .iter()
            .flat_map(|input| &input.artifacts)
            .any(|artifact| artifact.digest == digest);
        own || input
    }

    /// Remembers what was uploaded under a lease.
    pub fn uploaded(&self, epoch: u64, digest: &str, size: u64) {
        if let Some(lease) = self.lock().leases.get_mut(&epoch) {
            lease.uploads.insert(digest.to_owned(), size);
        }
    }
}

impl Inner {
    /// Ends a lease, whatever became of it, and returns it.
    pub(super) fn take_lease(&mut self, epoch: u64) -> Option<Lease> {
        let lease = self.leases.remove(&epoch)?;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.holds.remove(&epoch);
        }
        Some(lease)
    }
}
