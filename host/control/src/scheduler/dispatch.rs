//! Who gets what: stages that wait, workers that have room.

use super::active::Active;
use super::leases::{ALONE, Lease};
use super::settle::After;
use super::{Inner, Scheduler, WorkerName, now};
use crate::store::Write;
use crate::store::rows::{AttemptRow, EventRecord};
use slipway_domain::run::Event;
use slipway_domain::stage::{Attempt, StageState};
use slipway_domain::{Epoch, RunId, StageName};
use slipway_protocol::FromControl;
use slipway_protocol::lease::{Component, Lease as WireLease, Limits};
use std::time::Duration;
use tokio::time::Instant;

/// The memory of a stage whose definition does not say, in bytes.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
/// The log of a stage, in bytes.
pub(super) const LOG_BYTES_MAX: u64 = 16 << 20;

impl Scheduler {
    /// Gives stages that wait to workers that have room.
    pub(super) fn dispatch(&self, inner: &mut Inner) {
        while let Some(worker) = inner.idle_worker() {
            let Some((run, stage)) = inner.suspects.pop_front() else { break };
            self.lease(inner, &run, &stage, &worker);
        }
        // The next suspect gets the worker that is idle soonest, so no more is put on that.
        let kept = if inner.suspects.is_empty() { None } else { inner.least_busy_worker() };
        while let Some(worker) = inner.freest_worker(kept.as_ref()) {
            let Some((run, stage)) = inner.ready.pop_front() else { return };
            self.lease(inner, &run, &stage, &worker);
        }
    }

    fn lease(&self, inner: &mut Inner, id: &RunId, stage: &StageName, worker: &str) {
        let epoch = inner.last_epoch + 1;
        let Some(active) = inner.runs.get_mut(id) else { return };
        // Cancelled or withdrawn while it waited.
        let Some(StageState::Queued(attempt)) = active.run.stage(stage).map(|stage| stage.state.clone()) else {
            return;
        };
        // Before the lease is made: it tells the stage when it began, in each attempt the same.
        active.times.entry(stage.clone()).or_default().started_at.get_or_insert_with(now);
        let Some(lease) = wire_lease(active, stage, epoch, &attempt, self.keys.of(epoch)) else {
            return tracing::error!(run.id = %id, %stage, "a stage of an open run has no facts");
        };
        let event = Event::Leased { stage: stage.clone(), epoch: Epoch(epoch) };
        if let Err(error) = active.run.apply(&event) {
            return tracing::error!(run.id = %id, %stage, %error, "a stage that waits cannot be given away");
        }
        inner.last_epoch = epoch;
        let row = AttemptRow {
            run: id.to_string(),
            stage: stage.to_string(),
            phase: attempt.phase.as_str().to_owned(),
            number: attempt.number,
            epoch,
            worker: worker.to_owned(),
            stored_seq: 0,
            outcome: None,
            metering: None,
            leased_at: now(),
            ended_at: None,
        };
        let record = EventRecord::Leased {
            stage: row.stage.clone(),
            phase: row.phase.clone(),
            attempt: row.number,
            epoch,
            worker: row.worker.clone(),
        };
        active.attempts.insert(stage.clone(), row.clone());
        let mut writes = vec![active.event(record), Write::Attempt(row)];
        writes.extend(active.rows());
        let ticket = self.store.commit(writes);
        self.settler.after(After { ticket, run: id.to_string(), tell: None, frame: None });
        let timeout = Duration::from_millis(lease.limits.wall_ms);
        inner.leases.insert(epoch, Lease::new(id.clone(), stage.clone(), worker.to_owned(), timeout, 0));
        if let Some(worker) = inner.workers.get_mut(worker) {
            worker.hold(epoch, attempt.deaths > 0);
            worker.tell(FromControl::Lease(Box::new(lease)));
        }
    }
}

impl Inner {
    /// A worker that takes something, and holds nothing but what has run for [`ALONE`].
    fn idle_worker(&self) -> Option<WorkerName> {
        let now = Instant::now();
        let lives = |epoch: &u64| self.leases.get(epoch).is_some_and(|lease| lease.began + ALONE <= now);
        let idle = self.workers.iter().find(|(_, worker)| worker.free_slots() > 0 && worker.holds().iter().all(lives));
        idle.map(|(name, _)| name.clone())
    }

    /// The worker that holds the least.
    fn least_busy_worker(&self) -> Option<WorkerName> {
        let taking = self.workers.iter().filter(|(_, worker)| worker.takes());
        taking.min_by_key(|(_, worker)| worker.holds().len()).map(|(name, _)| name.clone())
    }

    /// The worker with the most room, other than one that is kept for something else.
    fn freest_worker(&self, kept: Option<&WorkerName>) -> Option<WorkerName> {
        let free = self.workers.iter().filter(|(name, worker)| worker.free_slots() > 0 && Some(*name) != kept);
        free.max_by_key(|(_, worker)| worker.free_slots()).map(|(name, _)| name.clone())
    }
}

/// What a worker gets. `None` for a stage that the definition does not have or the check
/// has found nothing about; such a one is never planned.
fn wire_lease(active: &Active, stage: &StageName, epoch: u64, attempt: &Attempt, key: String) -> Option<WireLease> {
    let definition = active.pipeline.stage(stage)?;
    let facts = active.pipeline.checked.stages.get(stage)?;
    let began = active.times.get(stage).and_then(|times| times.started_at).unwrap_or_else(now);
    Some(WireLease {
        epoch,
        key,
        run: active.id.to_string(),
        pipeline: active.row.pipeline.clone(),
        stage: stage.to_string(),
        kind: facts.plugin.kind.as_str().to_owned(),
        phase: attempt.phase.as_str().to_owned(),
        attempt: attempt.number,
        revision: active.row.revision.clone(),
        reference: active.row.reference.clone(),
        version: active.row.version.clone(),
        environment: definition.environment.clone(),
        config: definition.with.clone(),
        parameters: active.row.parameters.clone(),
        component: Component { name: facts.plugin.name.clone(), digest: facts.digest.to_string() },
        limits: Limits {
            wall_ms: u64::try_from(definition.timeout.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: definition.memory_bytes_max.unwrap_or(MEMORY_BYTES_DEFAULT),
            log_bytes: LOG_BYTES_MAX,
        },
        inputs: active.inputs(stage),
        began_at_us: u64::try_from(began).unwrap_or(0),
    })
}
