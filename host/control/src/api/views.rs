//! What the API shows of runs and stages.

use crate::clock;
use crate::scheduler::Scheduler;
use crate::store::rows::{AttemptRow, RunRow, StageRow};
use serde::Serialize;
use slipway_domain::StageName;
use slipway_protocol::message::Metering;
use slipway_protocol::outcome::{Fault, Unhappy};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunView {
    /// Its id.
    pub(super) id: String,
    /// The pipeline.
    pipeline: String,
    /// The full name of the ref that was triggered, or the commit.
    reference: String,
    /// The commit.
    revision: String,
    /// The version, when a tag gave one.
    version: Option<String>,
    /// How far the run is trusted: `untrusted`, `trusted` or `protected`.
    tier: String,
    /// `queued`, `running`, `cancelling`, `passed`, `failed`, `errored` or `cancelled`.
    pub(super) state: String,
    /// The stage that failed or errored, or who cancelled.
    culprit: Option<String>,
    /// Who triggered it.
    triggered_by: String,
    /// Its parameters.
    parameters: BTreeMap<String, String>,
    /// When it was accepted.
    created_at: String,
    /// When its first stage began.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// From acceptance to end, in milliseconds.
    duration_ms: Option<f64>,
    /// Its stages, in the order of the definition; left out in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<StageView>,
}

/// A stage of a run.
#[derive(Debug, Serialize, ToSchema)]
struct StageView {
    /// Its name.
    name: String,
    /// `build`, `test` or `deploy`.
    kind: String,
    /// The plugin, as `name@version`.
    plugin: String,
    /// The digest of the plugin's component.
    plugin_digest: String,
    /// The stages it needs.
    needs: Vec<String>,
    /// What it may do, as `interface:name`.
    grants: Vec<String>,
    /// `waiting`, `queued`, `running`, `passed`, `failed`, `errored`, `cancelled` or `skipped`.
    state: String,
    /// The export that is or was called last.
    phase: Option<String>,
    /// Which attempt at that phase.
    attempt: Option<u32>,
    /// When its first attempt began.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
    /// From begin to end, in milliseconds.
    duration_ms: Option<f64>,
    /// Why the plugin said no.
    failure: Option<FailureView>,
    /// Why the platform could not do its part.
    fault: Option<FaultView>,
    /// What became of the rollback: `done` or `incomplete`.
    rollback: Option<String>,
    /// Why it was skipped.
    skipped: Option<String>,
    /// Its attempts, with what they took.
    attempts: Vec<AttemptView>,
    /// What it set for later stages.
    outputs: BTreeMap<String, String>,
}

/// Why a plugin said no.
#[derive(Debug, Serialize, ToSchema)]
struct FailureView {
    /// A stable word for programs.
    code: String,
    /// One sentence for people.
    message: String,
    /// Whether the same again may succeed.
    retryable: bool,
    /// More facts.
    details: BTreeMap<String, String>,
}

/// Why the platform could not do its part.
#[derive(Debug, Serialize, ToSchema)]
struct FaultView {
    /// `deadline`, `limit`, `trap`, `plugin`, `worker-lost` or `host`.
    code: String,
    /// One sentence for people.
    message: String,
    /// The guest's functions, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backtrace: Vec<String>,
}

/// One attempt at a phase.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptView {
    /// The phase.
    phase: String,
    /// Which attempt at it, from 1.
    number: u32,
    /// The worker.
    worker: String,
    /// `passed`, `failed`, `errored`, `cancelled` or `lost`.
    outcome: Option<String>,
    /// When a worker took it.
    leased_at: String,
    /// When it ended.
    ended_at: Option<String>,
    /// What it took.
    metering: Option<MeteringView>,
}

/// What an attempt took.
#[derive(Debug, Serialize, ToSchema)]
struct MeteringView {
    /// On the worker, in microseconds.
    wall_us: u64,
    /// From the lease's arrival on the worker to the first call of a host function, in
    /// microseconds; nothing when the guest called none.
    first_call_us: Option<u64>,
    /// Of the whole, from the component's instantiation to its return.
    call_us: u64,
    /// The peak of the guest's memory, in bytes.
    memory_peak_bytes: u64,
    /// How many calls it made to the outside.
    calls: u64,
    /// Processor time of tools, in milliseconds.
    tool_cpu_ms: u64,
    /// The largest process of a tool, in bytes.
    tool_memory_peak_bytes: u64,
    /// Log text, in bytes.
    log_bytes: u64,
}

fn milliseconds(from: Option<i64>, to: Option<i64>) -> Option<f64> {
    let micros = to?.checked_sub(from?)?;
    #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
    Some(micros as f64 / 1_000.0)
}

impl RunView {
    /// A run without its stages, for lists.
    pub(super) fn brief(row: RunRow) -> Self {
        Self {
            duration_ms: milliseconds(Some(row.created_at), row.ended_at),
            id: row.id,
            pipeline: row.pipeline,
            reference: row.reference,
            revision: row.revision,
            version: row.version,
            tier: row.tier,
            state: row.state,
            culprit: row.culprit,
            triggered_by: row.triggered_by,
            parameters: row.parameters,
            created_at: clock::text(row.created_at),
            started_at: row.started_at.map(clock::text),
            ended_at: row.ended_at.map(clock::text),
            stages: Vec::new(),
        }
    }

    /// A run with all that is known of its stages.
    pub(super) async fn load(scheduler: &Scheduler, row: RunRow) -> Result<Self, sqlx::Error> {
        let store = scheduler.store();
        let (pipeline, stages, stored_attempts, mut outputs) = tokio::try_join!(
            scheduler.pipeline(&row.definition),
            store.stages(&row.id),
            store.attempts(&row.id),
            store.outputs(&row.id)
        )?;
        let checked = pipeline.as_ref().map(|pipeline| &pipeline.checked);
        let mut attempts: BTreeMap<String, Vec<AttemptRow>> = BTreeMap::new();
        for attempt in stored_attempts {
            attempts.entry(attempt.stage.clone()).or_default().push(attempt);
        }
        let stages = stages.into_iter().map(|stage| {
            let attempts = attempts.remove(&stage.name).unwrap_or_default();
            let outputs = outputs.remove(&stage.name).unwrap_or_default();
            stage_view(stage, attempts, outputs, checked)
        });
        let stages = stages.collect();
        Ok(Self { stages, ..Self::brief(row) })
    }
}

fn stage_view(
    row: StageRow,
    attempts: Vec<AttemptRow>,
    outputs: BTreeMap<String, String>,
    checked: Option<&crate::definition::Checked>,
) -> StageView {
    let name = StageName::new(row.name.clone()).ok();
    let facts = name.as_ref().and_then(|name| checked?.stages.get(name));
    let definition = name.as_ref().and_then(|name| checked?.definition.stages.iter().find(|stage| stage.name == *name));
    let (failure, fault) = match row.detail.unhappy {
        Some(Unhappy::Failed(failure)) => (
            Some(FailureView {
                code: failure.code,
                message: failure.message,
                retryable: failure.retryable,
                details: failure.details.into_iter().collect(),
            }),
            None,
        ),
        Some(Unhappy::Errored(fault)) => (None, Some(fault_view(fault))),
        Some(Unhappy::Cancelled) | None => (None, None),
    };
    StageView {
        name: row.name,
        kind: facts.map(|facts| facts.plugin.kind.to_string()).unwrap_or_default(),
        plugin: facts.map(|facts| format!("{}@{}", facts.plugin.name, facts.plugin.version)).unwrap_or_default(),
        plugin_digest: facts.map(|facts| facts.digest.to_string()).unwrap_or_default(),
        needs: definition.map(|stage| stage.needs.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        grants: facts
            .map(|facts| facts.grants.iter().map(|grant| format!("{}:{}", grant.interface(), grant.text())).collect())
            .unwrap_or_default(),
        state: row.state,
        phase: row.phase,
        attempt: row.attempt,
        started_at: row.started_at.map(clock::text),
        ended_at: row.ended_at.map(clock::text),
        duration_ms: milliseconds(row.started_at, row.ended_at),
        failure,
        fault,
        rollback: row.detail.rollback,
        skipped: row.detail.skipped,
        attempts: attempts.into_iter().map(attempt_view).collect(),
        outputs,
    }
}

fn fault_view(fault: Fault) -> FaultView {
    let backtrace = match &fault {
        Fault::Trap { backtrace, .. } => backtrace.clone(),
        Fault::Deadline { .. }
        | Fault::Limit { .. }
        | Fault::Plugin { .. }
        | Fault::WorkerLost { .. }
        | Fault::Host { .. } => Vec::new(),
    };
    let fault = slipway_domain::outcome::Fault::from(fault);
    FaultView { code: fault.code().to_owned(), message: fault.to_string(), backtrace }
}

fn attempt_view(row: AttemptRow) -> AttemptView {
    let metering: Option<Metering> = row.metering.as_deref().and_then(|text| serde_json::from_str(text).ok());
    AttemptView {
        phase: row.phase,
        number: row.number,
        worker: row.worker,
        outcome: row.outcome,
        leased_at: clock::text(row.leased_at),
        ended_at: row.ended_at.map(clock::text),
        metering: metering.map(|metering| MeteringView {
            wall_us: metering.wall_us,
            first_call_us: metering.first_call_us,
            call_us: metering.call_us,
            memory_peak_bytes: metering.memory_peak_bytes,
            calls: metering.calls,
            tool_cpu_ms: metering.tool_cpu_ms,
            tool_memory_peak_bytes: metering.tool_memory_peak_bytes,
            log_bytes: metering.log_bytes,
        }),
    }
}
