//! An open run in memory, and the rows that follow from it.

use super::now;
use crate::definition::Checked;
use crate::store::Write;
use crate::store::rows::{AttemptRow, EventRecord, Micros, RunRow, StageDetail, StageRow};
use slipway_domain::check::Row;
use slipway_domain::definition::{Reference, StageDefinition};
use slipway_domain::run::{Plan, Run, RunEnd, RunState};
use slipway_domain::stage::{Phase, Stage, StageState};
use slipway_domain::{RunId, StageName};
use slipway_protocol::lease::{Artifact, Input};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A pipeline as it is run: what its file says, and what the check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The digest of what is stored of it.
    pub digest: String,
    /// The file.
    pub text: String,
    /// What the check found.
    pub checked: Checked,
    /// What each stage may do in each tier; empty when it was read from the store.
    pub table: Vec<Row>,
}

impl Pipeline {
    /// The stages as the domain plans them for a ref.
    pub fn plan(&self, reference: &Reference) -> Vec<Plan> {
        self.checked
            .definition
            .stages
            .iter()
            .filter_map(|stage| {
                Some(Plan {
                    name: stage.name.clone(),
                    kind: self.checked.stages.get(&stage.name)?.plugin.kind,
                    needs: stage.needs.clone(),
                    wanted: stage.when.holds(reference),
                })
            })
            .collect()
    }

    /// One stage's definition.
    pub fn stage(&self, name: &StageName) -> Option<&StageDefinition> {
        self.checked.definition.stages.iter().find(|stage| stage.name == *name)
    }

    /// The stages that one needs, directly or through others.
    pub fn needs(&self, name: &StageName) -> BTreeSet<StageName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&StageName> = self.stage(name).map(|stage| stage.needs.iter().collect()).unwrap_or_default();
        while let Some(need) = open.pop() {
            if found.insert(need.clone())
                && let Some(stage) = self.stage(need)
            {
                open.extend(&stage.needs);
            }
        }
        found
    }
}

/// What a stage has left for later ones. Each with the lease that left it, so that what a
/// lost attempt left can be taken away.
#[derive(Debug, Clone, Default)]
pub struct Left {
    /// Artifacts.
    pub artifacts: Vec<(u64, Artifact)>,
    /// Outputs.
    pub outputs: BTreeMap<String, (u64, String)>,
    /// What was reported under each lease.
    pub reports: BTreeMap<u64, Reports>,
    /// How many calls were refused for want of a grant, as far as this process knows.
    pub refused: u32,
}

/// How much was reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reports {
    /// How many test cases and changes.
    pub count: u64,
    /// Their size, in bytes, as far as this process knows it.
    pub bytes: u64,
}

impl Left {
    /// Takes away what a lost attempt left.
    pub(super) fn forget(&mut self, epoch: u64) {
        self.artifacts.retain(|(by, _)| *by != epoch);
        self.outputs.retain(|_, (by, _)| *by != epoch);
        self.reports.remove(&epoch);
    }

    /// All that was reported: so many reports have numbers, from 1.
    pub fn reported(&self) -> Reports {
        self.reports.values().fold(Reports::default(), |all, of| Reports {
            count: all.count + of.count,
            bytes: all.bytes.saturating_add(of.bytes),
        })
    }

    fn input(&self, stage: &StageName) -> Input {
        Input {
            stage: stage.to_string(),
            artifacts: self.artifacts.iter().map(|(_, artifact)| artifact.clone()).collect(),
            outputs: self.outputs.iter().map(|(name, (_, value))| (name.clone(), value.clone())).collect(),
        }
    }
}

/// When a stage began and ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) started_at: Option<Micros>,
    pub(super) ended_at: Option<Micros>,
}

/// An open run.
pub(super) struct Active {
    pub(super) id: RunId,
    pub(super) run: Run,
    pub(super) row: RunRow,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) times: BTreeMap<StageName, Times>,
    pub(super) attempts: BTreeMap<StageName, AttemptRow>,
    pub(super) left: BTreeMap<StageName, Arc<Left>>,
    pub(super) last_event: u64,
    pub(super) last_log_entry: u64,
}

impl Active {
    /// A run that begins.
    pub(super) fn new(id: RunId, run: Run, row: RunRow, pipeline: Arc<Pipeline>) -> Self {
        Self {
            id,
            run,
            row,
            pipeline,
            times: BTreeMap::new(),
            attempts: BTreeMap::new(),
            left: BTreeMap::new(),
            last_event: 0,
            last_log_entry: 0,
        }
    }

    /// An event, numbered.
    pub(super) fn event(&mut self, record: EventRecord) -> Write {
        self.last_event += 1;
        Write::Event { run: self.row.id.clone(), seq: self.last_event, at: now(), record }
    }

    /// What the stages that one needs have left for it, and what its own earlier phases have
    /// left, under its own name.
    pub(super) fn inputs(&self, stage: &StageName) -> Vec<Input> {
        let empty = Arc::default();
        let needs = self.pipeline.needs(stage);
        let needs = needs.iter().map(|need| self.left.get(need).unwrap_or(&empty).input(need));
        needs.chain(self.left.get(stage).map(|left| left.input(stage))).collect()
    }

    /// Whether a digest is that of an artifact of a stage that this one needs.
    pub(super) fn is_input(&self, stage: &StageName, digest: &str) -> bool {
        self.pipeline.needs(stage).iter().any(|need| self.has_stored(need, digest))
    }

    /// Whether a stage has stored an artifact with this digest.
    pub(super) fn has_stored(&self, stage: &StageName, digest: &str) -> bool {
        self.left.get(stage).is_some_and(|left| left.artifacts.iter().any(|(_, artifact)| artifact.digest == digest))
    }

    /// The rows of the run and all its stages as they stand now.
    pub(super) fn rows(&mut self) -> Vec<Write> {
        let at = now();
        let (state, culprit) = describe(self.run.state());
        state.clone_into(&mut self.row.state);
        self.row.culprit = culprit;
        if self.row.started_at.is_none() && *self.run.state() != RunState::Queued {
            self.row.started_at = Some(at);
        }
        if self.run.state().has_ended() {
            self.row.ended_at.get_or_insert(at);
        }
        let mut writes = vec![Write::Run(self.row.clone())];
        for (position, stage) in self.run.stages().iter().enumerate() {
            let times = self.times.entry(stage.name.clone()).or_default();
            match &stage.state {
                StageState::Running { .. } => {
                    times.started_at.get_or_insert(at);
                }
                StageState::Ended(_) => {
                    times.ended_at.get_or_insert(at);
                }
                StageState::Waiting | StageState::Queued(_) => {}
            }
            writes.push(Write::Stage(stage_row(&self.row.id, position, stage, *times, self.attempts.get(&stage.name))));
        }
        writes
    }
}

fn stage_row(run: &str, position: usize, stage: &Stage, times: Times, last: Option<&AttemptRow>) -> StageRow {
    let (phase, attempt, detail) = match &stage.state {
        StageState::Waiting => (None, None, StageDetail::default()),
        StageState::Queued(attempt) | StageState::Running { attempt, .. } => {
            let detail = match &attempt.phase {
                Phase::Rollback { cause } => {
                    StageDetail { unhappy: Some(cause.clone().into()), ..StageDetail::default() }
                }
                Phase::Build | Phase::Test | Phase::Plan | Phase::Apply => StageDetail::default(),
            };
            (Some(attempt.phase.as_str().to_owned()), Some(attempt.number), detail)
        }
        StageState::Ended(end) => {
            (last.map(|last| last.phase.clone()), last.map(|last| last.number), StageDetail::from(end))
        }
    };
    StageRow {
        run: run.to_owned(),
        name: stage.name.to_string(),
        position: i64::try_from(position).unwrap_or(i64::MAX),
        state: stage.state.as_str().to_owned(),
        phase,
        attempt,
        detail,
        started_at: times.started_at,
        ended_at: times.ended_at,
    }
}

/// A run's state as a word, and the stage or person behind it.
fn describe(state: &RunState) -> (&'static str, Option<String>) {
    let culprit = match state {
        RunState::Queued | RunState::Running | RunState::Ended(RunEnd::Passed) => None,
        RunState::Cancelling { by } | RunState::Ended(RunEnd::Cancelled { by }) => Some(by.clone()),
        RunState::Ended(RunEnd::Failed { stage } | RunEnd::Errored { stage }) => Some(stage.to_string()),
    };
    (state.as_str(), culprit)
}
