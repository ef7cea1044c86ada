//! One execution of a pipeline, as a state machine.
//!
//! [`Run::apply`] takes an event and names the actions that follow; whoever drives the
//! run performs them and stores the event. The same events always give the same run, so
//! a run that was interrupted is built again from its events.

mod words;

pub use words::{Action, Event, InvalidTransition, Loss, RunEnd, RunState};

use crate::name::{Epoch, StageName};
use crate::outcome::{Fault, Outcome, Unhappy};
use crate::plugin::Kind;
use crate::stage::{Attempt, End, Phase, Rollback, Skip, Stage, StageState};

/// How often a worker may die with the same phase of a stage before it is given up.
pub const DEATHS_MAX: u32 = 2;
/// How often a phase of a stage is begun at most, whoever is to blame that it did not end: a worker
/// that gives back whatever it gets would otherwise get it for ever.
pub const ATTEMPTS_MAX: u32 = 100;

/// What a run is made of, decided when it is triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The stage.
    pub name: StageName,
    /// Its kind.
    pub kind: Kind,
    /// The stages it needs; each stands earlier or later in the list, without a cycle.
    pub needs: Vec<StageName>,
    /// Whether its `when` holds for the trigger.
    pub wanted: bool,
}

/// One execution of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    state: RunState,
    stages: Vec<Stage>,
}

impl Run {
    /// Begins a run and names its first actions.
    pub fn new(plan: Vec<Plan>) -> (Self, Vec<Action>) {
        let stages = plan
            .into_iter()
            .map(|plan| Stage {
                name: plan.name,
                kind: plan.kind,
                needs: plan.needs,
                state: if plan.wanted { StageState::Waiting } else { StageState::Ended(End::Skipped(Skip::Condition)) },
            })
            .collect();
        let mut run = Self { state: RunState::Queued, stages };
        let mut actions = Vec::new();
        run.settle(&mut actions);
        (run, actions)
    }

    /// Where the run stands.
    pub const fn state(&self) -> &RunState {
        &self.state
    }

    /// Its stages, in the order of the definition.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// One stage.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == *name)
    }

    /// What still has to be told to stop: named again after whoever holds it may have missed
    /// [`Action::Stop`].
    pub fn stops(&self) -> impl Iterator<Item = (&StageName, Epoch)> {
        let cancelling = matches!(self.state, RunState::Cancelling { .. });
        self.stages.iter().filter(move |_| cancelling).filter_map(|stage| match &stage.state {
            StageState::Running { attempt, epoch } if attempt.phase.is_cancellable() => Some((&stage.name, *epoch)),
            StageState::Waiting | StageState::Queued(_) | StageState::Running { .. } | StageState::Ended(_) => None,
        })
    }

    /// Applies `event` and names the next actions. Touches nothing outside the run, and
    /// leaves the run as it was when the event does not apply.
    pub fn apply(&mut self, event: &Event) -> Result<Vec<Action>, InvalidTransition> {
        if self.state.has_ended() {
            return Err(InvalidTransition::RunEnded);
        }
        let mut actions = Vec::new();
        match event {
            Event::Leased { stage, epoch } => self.leased(stage, *epoch)?,
            Event::Ended { stage, epoch, outcome } => self.ended(stage, *epoch, outcome, &mut actions)?,
            Event::LeaseLost { stage, epoch, loss } => self.lease_lost(stage, *epoch, *loss, &mut actions)?,
            Event::CancelRequested { by } => self.cancel(by, &mut actions)?,
        }
        self.settle(&mut actions);
        Ok(actions)
    }

    fn leased(&mut self, name: &StageName, epoch: Epoch) -> Result<(), InvalidTransition> {
        let stage = find(&mut self.stages, name)?;
        let StageState::Queued(attempt) = &stage.state else {
            return Err(InvalidTransition::NotQueued(name.clone()));
        };
        stage.state = StageState::Running { attempt: attempt.clone(), epoch };
        if self.state == RunState::Queued {
            self.state = RunState::Running;
        }
        Ok(())
    }

    fn ended(
        &mut self,
        name: &StageName,
        epoch: Epoch,
        outcome: &Outcome,
        actions: &mut Vec<Action>,
    ) -> Result<(), InvalidTransition> {
        let cancelling = matches!(self.state, RunState::Cancelling { .. });
        let stage = find(&mut self.stages, name)?;
        let attempt = held(stage, epoch)?;
        stage.state = after(attempt.phase.clone(), outcome.clone(), cancelling);
        if let StageState::Queued(_) = stage.state {
            actions.push(Action::Queue(name.clone()));
        }
        Ok(())
    }

    fn lease_lost(
        &mut self,
        name: &StageName,
        epoch: Epoch,
        loss: Loss,
        actions: &mut Vec<Action>,
    ) -> Result<(), InvalidTransition> {
        let cancelling = matches!(self.state, RunState::Cancelling { .. });
        let stage = find(&mut self.stages, name)?;
        let attempt = held(stage, epoch)?.clone();
        let deaths = match loss {
            Loss::Death => attempt.deaths + 1,
            Loss::Innocent => attempt.deaths,
        };
        stage.state = if cancelling && attempt.phase.is_cancellable() {
            StageState::Ended(End::Cancelled { rollback: Rollback::NotNeeded })
        } else if deaths >= DEATHS_MAX || attempt.number >= ATTEMPTS_MAX {
            let fault = Fault::WorkerLost { times: if deaths >= DEATHS_MAX { deaths } else { attempt.number } };
            after(attempt.phase, Outcome::Unhappy(Unhappy::Errored(fault)), cancelling)
        } else {
            StageState::Queued(Attempt { number: attempt.number + 1, deaths, ..attempt })
        };
        if let StageState::Queued(_) = stage.state {
            actions.push(Action::Queue(name.clone()));
        }
        Ok(())
    }

    fn cancel(&mut self, by: &str, actions: &mut Vec<Action>) -> Result<(), InvalidTransition> {
        if let RunState::Cancelling { .. } = self.state {
            return Err(InvalidTransition::AlreadyCancelling);
        }
        self.state = RunState::Cancelling { by: by.to_owned() };
        for stage in &mut self.stages {
            match &stage.state {
                StageState::Waiting => {
                    stage.state = StageState::Ended(End::Cancelled { rollback: Rollback::NotNeeded });
                }
                StageState::Queued(attempt) if attempt.phase.is_cancellable() || is_untouched(attempt) => {
                    stage.state = StageState::Ended(End::Cancelled { rollback: Rollback::NotNeeded });
                    actions.push(Action::Withdraw(stage.name.clone()));
                }
                StageState::Running { attempt, epoch } if attempt.phase.is_cancellable() => {
                    actions.push(Action::Stop { stage: stage.name.clone(), epoch: *epoch });
                }
                StageState::Queued(_) | StageState::Running { .. } | StageState::Ended(_) => {}
            }
        }
        Ok(())
    }

    /// Queues what can start, skips what cannot any more, and ends the run when nothing is left.
    fn settle(&mut self, actions: &mut Vec<Action>) {
        let ending = self.stages.iter().any(|stage| {
            matches!(stage.state, StageState::Ended(End::Failed { .. } | End::Errored { .. } | End::Cancelled { .. }))
        });
        if ending {
            self.withdraw_unbegun(actions);
        }
        loop {
            let mut changed = false;
            for index in 0..self.stages.len() {
                let Some(next) = self.stages.get(index).and_then(|stage| self.after_needs(stage, ending)) else {
                    continue;
                };
                let Some(stage) = self.stages.get_mut(index) else { continue };
                if let StageState::Queued(_) = next {
                    actions.push(Action::Queue(stage.name.clone()));
                }
                stage.state = next;
                changed = true;
            }
            if !changed {
                break;
            }
        }
        if self.stages.iter().all(|stage| stage.state.has_ended()) {
            self.state = RunState::Ended(self.end());
            actions.push(Action::End);
        }
    }

    /// Skips what is in line and was never begun: once a stage has not passed, nothing new starts.
    fn withdraw_unbegun(&mut self, actions: &mut Vec<Action>) {
        for stage in &mut self.stages {
            let StageState::Queued(attempt) = &stage.state else { continue };
            if attempt.number > 1 || matches!(attempt.phase, Phase::Rollback { .. }) {
                continue;
            }
            stage.state = StageState::Ended(End::Skipped(Skip::RunEnding));
            let queue = Action::Queue(stage.name.clone());
            match actions.iter().position(|action| *action == queue) {
                Some(just_now) => drop(actions.remove(just_now)),
                None => actions.push(Action::Withdraw(stage.name.clone())),
            }
        }
    }

    /// The state that a waiting stage moves to, when the stages it needs decide it.
    fn after_needs(&self, stage: &Stage, ending: bool) -> Option<StageState> {
        if stage.state != StageState::Waiting {
            return None;
        }
        let mut open = false;
        for need in &stage.needs {
            match self.stage(need).map(|needed| &needed.state) {
                Some(StageState::Ended(End::Passed)) => {}
                Some(StageState::Ended(_)) | None => {
                    return Some(StageState::Ended(End::Skipped(Skip::Needs(need.clone()))));
                }
                Some(StageState::Waiting | StageState::Queued(_) | StageState::Running { .. }) => open = true,
            }
        }
        match (open, ending) {
            (_, true) => Some(StageState::Ended(End::Skipped(Skip::RunEnding))),
            (true, false) => None,
            (false, false) => Some(StageState::Queued(Attempt::first(Phase::first(stage.kind)))),
        }
    }

    fn end(&self) -> RunEnd {
        let first = |wanted: fn(&End) -> bool| {
            self.stages.iter().find_map(|stage| match &stage.state {
                StageState::Ended(end) if wanted(end) => Some(stage.name.clone()),
                StageState::Waiting | StageState::Queued(_) | StageState::Running { .. } | StageState::Ended(_) => None,
            })
        };
        if let Some(stage) = first(|end| matches!(end, End::Errored { .. })) {
            return RunEnd::Errored { stage };
        }
        if let Some(stage) = first(|end| matches!(end, End::Failed { .. })) {
            return RunEnd::Failed { stage };
        }
        match (&self.state, first(|end| matches!(end, End::Cancelled { .. }))) {
            (RunState::Cancelling { by }, Some(_)) => RunEnd::Cancelled { by: by.clone() },
            (_, Some(stage)) => RunEnd::Errored { stage },
            (_, None) => RunEnd::Passed,
        }
    }
}

/// Whether an attempt at changing something has never begun.
fn is_untouched(attempt: &Attempt) -> bool {
    attempt.phase == Phase::Apply && attempt.number == 1
}

fn find<'a>(stages: &'a mut [Stage], name: &StageName) -> Result<&'a mut Stage, InvalidTransition> {
    stages.iter_mut().find(|stage| stage.name == *name).ok_or_else(|| InvalidTransition::UnknownStage(name.clone()))
}

/// The attempt that the sender holds, unless it was fenced.
fn held(stage: &Stage, sender: Epoch) -> Result<&Attempt, InvalidTransition> {
    match &stage.state {
        StageState::Running { attempt, epoch } if *epoch == sender => Ok(attempt),
        StageState::Waiting | StageState::Queued(_) | StageState::Running { .. } | StageState::Ended(_) => {
            Err(InvalidTransition::Fenced { stage: stage.name.clone(), epoch: sender })
        }
    }
}

/// Where a stage goes when a phase ended.
fn after(phase: Phase, outcome: Outcome, cancelling: bool) -> StageState {
    match (phase, outcome) {
        (Phase::Build | Phase::Test | Phase::Apply, Outcome::Passed) => StageState::Ended(End::Passed),
        (Phase::Plan, Outcome::Passed) if cancelling => {
            StageState::Ended(End::Cancelled { rollback: Rollback::NotNeeded })
        }
        (Phase::Plan, Outcome::Passed) => StageState::Queued(Attempt::first(Phase::Apply)),
        (Phase::Build | Phase::Test | Phase::Plan, Outcome::Unhappy(cause)) => {
            StageState::Ended(End::unhappy(cause, Rollback::NotNeeded))
        }
        (Phase::Apply, Outcome::Unhappy(cause)) => StageState::Queued(Attempt::first(Phase::Rollback { cause })),
        (Phase::Rollback { cause }, Outcome::Passed) => StageState::Ended(End::unhappy(cause, Rollback::Done)),
        (Phase::Rollback { cause }, Outcome::Unhappy(why)) => {
            StageState::Ended(End::unhappy(cause, Rollback::Incomplete(why)))
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
