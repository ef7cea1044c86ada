//! Drives runs: asks the domain what follows from an event, does it, stores the event.
//!
//! The state of every open run is in memory, under one lock that is held only for as long
//! as a decision takes. Each decision is queued at the store while the lock is held, so the
//! store's order is the order of the decisions; whoever must not act before a decision is
//! durable waits for its ticket. Nothing else needs to wait: a decision that a crash
//! swallows was never told to anybody outside, and is taken again.

mod active;
mod apply;
mod changes;
mod dispatch;
mod frames;
mod keys;
mod leases;
mod mask;
mod pipelines;
mod recover;
mod settle;
mod submit;
#[cfg(test)]
pub(crate) mod tests;

pub use active::{Left, Pipeline, Reports};
pub use changes::Changes;
pub use frames::{CallContext, Taken};
pub use keys::LeaseKeys;
pub use leases::{Holder, WorkerName};
pub use recover::Error as RecoverError;
pub(crate) use submit::new_id;
pub use submit::{CheckReport, Refused, RunRequest};

use crate::clock;
use crate::git::Git;
use crate::plugins::Plugins;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::store::rows::Micros;
use active::{Active, Times};
use leases::{Lease, Worker};
use pipelines::Pipelines;
use settle::Settler;
use slipway_domain::RunId;
use slipway_domain::StageName;
use slipway_domain::grant::Operator;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many runs may be open at once. More are refused, so that a flood of triggers is
/// somebody's error and not the server's end.
pub const OPEN_RUNS_MAX: usize = 10_000;

/// The scheduler. Clones share it.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Mutex<Inner>>,
    store: Store,
    git: Git,
    plugins: Plugins,
    operator: Arc<Operator>,
    settler: Settler,
    changes: Changes,
    pipelines: Arc<Pipelines>,
    keys: Arc<LeaseKeys>,
    secrets: Secrets,
}

/// All that is in memory.
#[derive(Default)]
struct Inner {
    runs: HashMap<RunId, Active>,
    /// Stages that wait for a worker, first come first served.
    ready: VecDeque<(RunId, StageName)>,
    /// Those that were held by a worker when it died. Each runs alone on a worker, so that
    /// another death tells which of them it was.
    suspects: VecDeque<(RunId, StageName)>,
    workers: BTreeMap<WorkerName, Worker>,
    leases: HashMap<u64, Lease>,
    last_epoch: u64,
}

impl Scheduler {
    /// A scheduler over what is stored; see [`Self::recover`].
    pub fn new(
        store: Store,
        git: Git,
        plugins: Plugins,
        operator: Operator,
        keys: LeaseKeys,
        secrets: Secrets,
    ) -> Self {
        let changes = Changes::default();
        let inner = Arc::new(Mutex::new(Inner::default()));
        Self {
            settler: Settler::start(changes.clone(), Arc::downgrade(&inner)),
            inner,
            keys: Arc::new(keys),
            secrets,
            store,
            git,
            plugins,
            operator: Arc::new(operator),
            changes,
            pipelines: Arc::default(),
        }
    }

    /// Tells when something of a run has changed.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The repositories.
    pub const fn git(&self) -> &Git {
        &self.git
    }

    /// A pipeline as it is or was run, by its digest. `None` when it can no longer be read.
    pub async fn pipeline(&self, digest: &str) -> sqlx::Result<Option<Arc<Pipeline>>> {
        self.pipelines.by_digest(&self.store, digest).await
    }

    /// How many runs are open, stages wait, and stages run.
    pub fn load(&self) -> (usize, usize, usize) {
        let inner = self.lock();
        (inner.runs.len(), inner.ready.len() + inner.suspects.len(), inner.leases.len())
    }

    /// How many workers are connected.
    pub fn workers(&self) -> usize {
        self.lock().workers.values().filter(|worker| worker.is_connected()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Micros {
    clock::now()
}
