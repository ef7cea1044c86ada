//! Events: applied to a run, stored with the rows that follow, and what the domain says is
//! next is done.

use super::active::Active;
use super::settle::{After, Tell};
use super::{Inner, Scheduler, now};
use crate::store::Write;
use crate::store::rows::EventRecord;
use slipway_domain::plugin::Kind;
use slipway_domain::run::{Action, Event, InvalidTransition, Loss};
use slipway_domain::stage::StageState;
use slipway_domain::{Epoch, RunId, StageName};
use slipway_protocol::message::Metering;
use slipway_protocol::{FromControl, outcome};
use std::sync::Arc;

impl Scheduler {
    /// Applies an event to an open run, stores it with the rows that follow, and does what
    /// the domain says is next. `also` is written with it; `tell` is said once it is durable.
    pub(super) fn apply(
        &self,
        inner: &mut Inner,
        id: &RunId,
        event: &Event,
        record: EventRecord,
        also: Vec<Write>,
        tell: Option<Tell>,
    ) -> Result<(), InvalidTransition> {
        let Some(active) = inner.runs.get_mut(id) else { return Err(InvalidTransition::RunEnded) };
        let actions = active.run.apply(event)?;
        let mut writes = also;
        writes.push(active.event(record));
        writes.extend(active.rows());
        if active.run.state().has_ended() {
            let state = active.run.state().as_str().to_owned();
            writes.push(active.event(EventRecord::RunEnded { state }));
            if active.pipeline.checked.stages.values().any(|facts| facts.plugin.kind == Kind::Deploy) {
                writes.push(Write::CandidatesRejected { run: id.to_string(), at: now() });
            }
        }
        self.settler.after(After { ticket: self.store.commit(writes), run: id.to_string(), tell, frame: None });
        self.perform(inner, id, actions);
        Ok(())
    }

    /// Does what the domain says is next.
    pub(super) fn perform(&self, inner: &mut Inner, id: &RunId, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Queue(stage) => inner.queue(id, stage),
                Action::Withdraw(stage) => {
                    let other = |(run, waiting): &(RunId, StageName)| run != id || *waiting != stage;
                    inner.ready.retain(other);
                    inner.suspects.retain(other);
                }
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
                Arc::make_mut(left).forget(epoch);
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
        let tell = inner.workers.get(&lease.worker).and_then(|worker| worker.acknowledgement(epoch, seq));
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

impl Inner {
    /// Puts a stage in line.
    pub(super) fn queue(&mut self, id: &RunId, stage: StageName) {
        let state = self.runs.get(id).and_then(|active| active.run.stage(&stage)).map(|stage| &stage.state);
        let suspect = matches!(state, Some(StageState::Queued(attempt)) if attempt.deaths > 0);
        let line = if suspect { &mut self.suspects } else { &mut self.ready };
        line.push_back((id.clone(), stage));
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
