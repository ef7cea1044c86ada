//! Actions: what the domain says is next, done.

use super::active::Active;
use super::leases::{Lease, expiry};
use super::settle::After;
use super::{Inner, Scheduler, now};
use crate::store::Write;
use crate::store::rows::{AttemptRow, EventRecord};
use slipway_domain::run::{Action, Event, InvalidTransition, Loss};
use slipway_domain::stage::StageState;
use slipway_domain::{Epoch, RunId, StageName};
use slipway_protocol::lease::{Component, Lease as WireLease, Limits};
use slipway_protocol::message::Metering;
use slipway_protocol::{FromControl, outcome};
use std::collections::{BTreeMap, BTreeSet};

/// The memory of a stage whose definition does not say, in bytes.
const MEMORY_BYTES_DEFAULT: u64 = 256 << 20;
/// The log of a stage, in bytes.
const LOG_BYTES_MAX: u64 = 16 << 20;

impl Scheduler {
    /// Gives stages that wait to workers that have room.
    pub(super) fn dispatch(&self, inner: &mut Inner) {
        while let Some(worker) = inner
            .workers
            .iter()
            .filter(|(_, worker)| worker.free_slots() > 0)
            .max_by_key(|(_, worker)| worker.free_slots())
            .map(|(name, _)| name.clone())
        {
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
        let event = Event::Leased { stage: stage.clone(), epoch: Epoch(epoch) };
        if active.run.apply(&event).is_err() {
            return;
        }
        inner.last_epoch = epoch;
        let phase = attempt.phase.as_str();
        let row = AttemptRow {
            run: id.to_string(),
            stage: stage.to_string(),
            phase: phase.to_owned(),
            number: attempt.number,
            epoch,
            worker: worker.to_owned(),
            stored_seq: 0,
            outcome: None,
            metering: None,
            leased_at: now(),
            ended_at: None,
        };
        active.attempts.insert(stage.clone(), row.clone());
        let record = EventRecord::Leased {
            stage: stage.to_string(),
            phase: phase.to_owned(),
            attempt: attempt.number,
            epoch,
            worker: worker.to_owned(),
        };
        let mut writes = vec![active.event(record), Write::Attempt(row)];
        writes.extend(active.rows());
        let lease = wire_lease(active, stage, epoch, phase, attempt.number);
        self.settler.after(After { ticket: self.store.commit(writes), run: id.to_string(), tell: None });
        let Some(lease) = lease else {
            tracing::error!(run.id = %id, %stage, "a stage of an open run has no facts");
            return;
        };
        inner.leases.insert(
            epoch,
            Lease {
                run: id.clone(),
                stage: stage.clone(),
                worker: worker.to_owned(),
                expires: expiry(),
                last_seq: 0,
                answering: BTreeSet::new(),
                uploads: BTreeMap::new(),
            },
        );
        if let Some(worker) = inner.workers.get_mut(worker) {
            worker.holds.insert(epoch);
            worker.tell(FromControl::Lease(Box::new(lease)));
        }
    }

    /// Applies an event to an open run, stores it with the rows that follow, and does what
    /// the domain says is next. `also` is written with it; `tell` is said once it is durable.
    pub(super) fn apply(
        &self,
        inner: &mut Inner,
        id: &RunId,
        event: &Event,
        record: EventRecord,
        also: Vec<Write>,
        tell: Option<(tokio::sync::mpsc::UnboundedSender<FromControl>, FromControl)>,
    ) -> Result<(), InvalidTransition> {
        let Some(active) = inner.runs.get_mut(id) else { return Err(InvalidTransition::RunEnded) };
        let actions = active.run.apply(event)?;
        let mut writes = also;
        writes.push(active.event(record));
        writes.extend(active.rows());
        if active.run.state().has_ended() {
            let state = active.run.state().as_str().to_owned();
            writes.push(active.event(EventRecord::RunEnded { state }));
        }
        self.settler.after(After { ticket: self.store.commit(writes), run: id.to_string(), tell });
        self.perform(inner, id, actions);
        Ok(())
    }

    /// Does what the domain says is next.
    pub(super) fn perform(&self, inner: &mut Inner, id: &RunId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Queue(stage) => inner.ready.push_back((id.clone(), stage)),
                Action::Withdraw(stage) => inner.ready.retain(|(run, waiting)| run != id || *waiting != stage),
                Action::Stop { epoch: Epoch(epoch), .. } => {
                    let worker = inner.leases.get(&epoch).and_then(|lease| inner.workers.get(&lease.worker));
                    if let Some(worker) = worker {
                        worker.tell(FromControl::Cancel { epoch });
                    }
                }
                Action::End => {
                    if let Some(active) = inner.runs.remove(id) {
                        tracing::info!(run.id = %id, pipeline = active.row.pipeline, "run {}", active.row.state);
                    }
                }
            }
        }
        self.dispatch(inner);
    }

    /// Takes an attempt back whose lease is over without a result.
    pub(super) fn lose(&self, inner: &mut Inner, epoch: u64, loss: Loss) {
        let Some(lease) = inner.take_lease(epoch) else { return };
        if let Some(worker) = inner.workers.get(&lease.worker) {
            worker.tell(FromControl::Fenced { epoch });
        }
        let mut also = vec![Write::Forget { run: lease.run.to_string(), stage: lease.stage.to_string(), epoch }];
        if let Some(active) = inner.runs.get_mut(&lease.run) {
            if let Some(left) = active.left.get_mut(&lease.stage) {
                left.forget(epoch);
            }
            also.extend(end_attempt(active, &lease.stage, "lost", None));
        }
        let event = Event::LeaseLost { stage: lease.stage.clone(), epoch: Epoch(epoch), loss };
        let record = EventRecord::LeaseLost { stage: lease.stage.to_string(), epoch, suspect: loss == Loss::Death };
        if let Err(error) = self.apply(inner, &lease.run, &event, record, also, None) {
            tracing::debug!(run.id = %lease.run, %error, "a lost lease was of no run");
        }
    }

    /// Takes the end of an attempt, as its holder tells it.
    pub(super) fn end(&self, inner: &mut Inner, epoch: u64, seq: u64, outcome: outcome::Outcome, metering: &Metering) {
        let Some(lease) = inner.take_lease(epoch) else { return };
        let tell = inner
            .workers
            .get(&lease.worker)
            .and_then(|worker| Some((worker.sender()?, FromControl::Stored { epoch, seq })));
        let domain = slipway_domain::outcome::Outcome::from(outcome.clone());
        let Some(active) = inner.runs.get_mut(&lease.run) else { return };
        let phase = active.attempts.get(&lease.stage).map(|attempt| attempt.phase.clone()).unwrap_or_default();
        let metering = serde_json::to_string(metering).ok();
        let also = end_attempt(active, &lease.stage, domain.as_str(), metering).into_iter().collect();
        let record = EventRecord::Ended { stage: lease.stage.to_string(), phase, epoch, outcome };
        let event = Event::Ended { stage: lease.stage.clone(), epoch: Epoch(epoch), outcome: domain };
        if let Err(error) = self.apply(inner, &lease.run, &event, record, also, tell) {
            tracing::debug!(run.id = %lease.run, %error, "an end that does not apply");
        }
        self.dispatch(inner);
    }
}

/// The last row of an attempt.
fn end_attempt(active: &mut Active, stage: &StageName, outcome: &str, metering: Option<String>) -> Option<Write> {
    let row = active.attempts.get_mut(stage)?;
    row.outcome = Some(outcome.to_owned());
    row.metering = metering;
    row.ended_at = Some(now());
    Some(Write::Attempt(row.clone()))
}

fn wire_lease(active: &Active, stage: &StageName, epoch: u64, phase: &str, attempt: u32) -> Option<WireLease> {
    let definition = active.pipeline.stage(stage)?;
    let facts = active.pipeline.checked.stages.get(stage)?;
    let began = active.times.get(stage).and_then(|times| times.started_at).unwrap_or_else(now);
    Some(WireLease {
        epoch,
        run: active.id.to_string(),
        pipeline: active.row.pipeline.clone(),
        stage: stage.to_string(),
        kind: facts.plugin.kind.as_str().to_owned(),
        phase: phase.to_owned(),
        attempt,
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
