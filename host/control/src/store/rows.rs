//! What the tables hold, as values.

use crate::secrets::{Address, Sealed};
use serde::{Deserialize, Serialize};
use slipway_domain::outcome::{Outcome, Unhappy};
use slipway_domain::release::Release;
use slipway_domain::run::{Event, Loss};
use slipway_domain::{Epoch, StageName};
use slipway_protocol::outcome as wire;
use std::collections::BTreeMap;

/// Microseconds since 1970.
pub type Micros = i64;

/// A token, without itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// SHA-256 of it, in hex.
    pub hash: String,
    /// What it is called.
    pub name: String,
    /// What its holder may do.
    pub role: String,
    /// When it was made.
    pub created_at: Micros,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    /// Its name.
    pub name: String,
    /// Where its repository is.
    pub repository: String,
    /// When it was added.
    pub created_at: Micros,
}

/// A secret, as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// What it belongs to.
    pub address: Address,
    /// Which value it is, from 1.
    pub version: u64,
    /// The value.
    pub sealed: Sealed,
    /// When it was set.
    pub changed_at: Micros,
    /// Who set it.
    pub changed_by: String,
}

impl std::fmt::Debug for SecretRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretRow")
            .field("address", &self.address)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Something that was done about grants and secrets, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Micros,
    /// A person's token, or `run/stage`.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: String,
    /// `done` or `refused`.
    pub outcome: &'static str,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// The address of the repository that the revision is from.
    pub repository: String,
    /// The full name of the ref, or the revision.
    pub reference: String,
    /// The commit.
    pub revision: String,
    /// The version.
    pub version: Option<String>,
    /// The trust tier.
    pub tier: String,
    /// The digest of its definition.
    pub definition: String,
    /// Who triggered it.
    pub triggered_by: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// The caller's key against triggering twice.
    pub idempotency_key: Option<String>,
    /// What the caller asked for with that key.
    pub request_hash: Option<String>,
    /// Where it stands.
    pub state: String,
    /// The stage that failed or errored, or who cancelled.
    pub culprit: Option<String>,
    /// When it was accepted.
    pub created_at: Micros,
    /// When its first stage began.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

#[cfg(test)]
impl RunRow {
    /// A run of pipeline `p` by definition `d`, for tests that need one to refer to.
    pub(crate) fn example(id: &str) -> Self {
        Self {
            id: format!("{id:0>26}"),
            pipeline: "p".into(),
            repository: "/nowhere".into(),
            reference: "refs/tags/v1".into(),
            revision: "0".repeat(40),
            version: None,
            tier: "protected".into(),
            definition: "d".into(),
            triggered_by: "somebody".into(),
            parameters: BTreeMap::new(),
            idempotency_key: None,
            request_hash: None,
            state: "queued".into(),
            culprit: None,
            created_at: 1,
            started_at: None,
            ended_at: None,
        }
    }
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageRow {
    /// The run.
    pub run: String,
    /// Its name.
    pub name: String,
    /// Its place in the definition.
    pub position: i64,
    /// Where it stands.
    pub state: String,
    /// The phase it is in or ended in.
    pub phase: Option<String>,
    /// The attempt at that phase.
    pub attempt: Option<u32>,
    /// Why it ended as it did.
    pub detail: StageDetail,
    /// When its first attempt began.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

/// Why a stage ended as it did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageDetail {
    /// Failed, errored or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhappy: Option<wire::Unhappy>,
    /// `done`, `incomplete` or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<String>,
    /// Why a rollback is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_unhappy: Option<wire::Unhappy>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// The run.
    pub run: String,
    /// The stage.
    pub stage: String,
    /// The phase.
    pub phase: String,
    /// Which attempt at it.
    pub number: u32,
    /// Its fence.
    pub epoch: u64,
    /// Who holds it.
    pub worker: String,
    /// The last frame that is stored.
    pub stored_seq: u64,
    /// How it ended.
    pub outcome: Option<String>,
    /// What it took, as JSON.
    pub metering: Option<String>,
    /// When it was given.
    pub leased_at: Micros,
    /// When it ended.
    pub ended_at: Option<Micros>,
}

/// A call of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The run.
    pub run: String,
    /// The stage.
    pub stage: String,
    /// The lease.
    pub epoch: u64,
    /// The frame.
    pub seq: u64,
    /// When it came.
    pub at: Micros,
    /// The WIT function.
    pub function: &'static str,
    /// The call, as JSON.
    pub call: String,
}

/// A chunk of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The run.
    pub run: String,
    /// The number of the first entry.
    pub first: u64,
    /// The number of the last one.
    pub last: u64,
    /// The stage.
    pub stage: String,
    /// The phase.
    pub phase: String,
    /// The attempt.
    pub attempt: u32,
    /// The entries, as JSON.
    pub entries: String,
}

/// A stored artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRow {
    /// The run.
    pub run: String,
    /// The stage.
    pub stage: String,
    /// Its name.
    pub name: String,
    /// The lease under which it was stored.
    pub epoch: u64,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// When.
    pub created_at: Micros,
}

/// A test case, or a planned change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCaseRow {
    /// The run.
    pub run: String,
    /// The stage.
    pub stage: String,
    /// The lease.
    pub epoch: u64,
    /// Its number in the stage.
    pub seq: u64,
    /// What was reported.
    pub case: slipway_protocol::call::TestCase,
}

/// A planned change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRow {
    /// The run.
    pub run: String,
    /// The stage.
    pub stage: String,
    /// The lease.
    pub epoch: u64,
    /// Its number in the stage.
    pub seq: u64,
    /// A verb.
    pub action: String,
    /// What would change.
    pub object: String,
    /// As it is.
    pub before: Option<String>,
    /// As it would be.
    pub after: Option<String>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// The release.
    pub release: Release,
    /// The pipeline that made it.
    pub pipeline: String,
    /// When it was made.
    pub created_at: Micros,
    /// When its state changed last.
    pub changed_at: Micros,
}

/// An event of a run, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventRecord {
    /// The run was accepted.
    Accepted,
    /// A worker took a stage.
    Leased {
        /// The stage.
        stage: String,
        /// The phase.
        phase: String,
        /// The attempt at it.
        attempt: u32,
        /// The fence.
        epoch: u64,
        /// Who.
        worker: String,
    },
    /// An attempt ended.
    Ended {
        /// The stage.
        stage: String,
        /// The phase.
        phase: String,
        /// The fence.
        epoch: u64,
        /// How.
        outcome: wire::Outcome,
    },
    /// A lease was lost.
    LeaseLost {
        /// The stage.
        stage: String,
        /// The fence.
        epoch: u64,
        /// Whether the attempt is suspect.
        suspect: bool,
    },
    /// Somebody cancelled.
    CancelRequested {
        /// Who.
        by: String,
    },
    /// The run ended.
    RunEnded {
        /// How.
        state: String,
    },
}

impl EventRecord {
    /// The domain's event, when it is one.
    pub fn event(&self) -> Option<Event> {
        Some(match self {
            Self::Accepted | Self::RunEnded { .. } => return None,
            Self::Leased { stage, epoch, .. } => {
                Event::Leased { stage: StageName::new(stage.clone()).ok()?, epoch: Epoch(*epoch) }
            }
            Self::Ended { stage, epoch, outcome, .. } => Event::Ended {
                stage: StageName::new(stage.clone()).ok()?,
                epoch: Epoch(*epoch),
                outcome: Outcome::from(outcome.clone()),
            },
            Self::LeaseLost { stage, epoch, suspect } => Event::LeaseLost {
                stage: StageName::new(stage.clone()).ok()?,
                epoch: Epoch(*epoch),
                loss: if *suspect { Loss::Death } else { Loss::Innocent },
            },
            Self::CancelRequested { by } => Event::CancelRequested { by: by.clone() },
        })
    }
}

/// Why a stage ended, from the domain.
impl From<&slipway_domain::stage::End> for StageDetail {
    fn from(end: &slipway_domain::stage::End) -> Self {
        use slipway_domain::stage::{End, Rollback, Skip};
        let with = |unhappy: Unhappy, rollback: &Rollback| {
            let (word, why) = match rollback {
                Rollback::NotNeeded => (None, None),
                Rollback::Done => (Some("done".to_owned()), None),
                Rollback::Incomplete(why) => (Some("incomplete".to_owned()), Some(why.clone().into())),
            };
            Self { unhappy: Some(unhappy.into()), rollback: word, rollback_unhappy: why, skipped: None }
        };
        match end {
            End::Passed => Self::default(),
            End::Failed { failure, rollback } => with(Unhappy::Failed(failure.clone()), rollback),
            End::Errored { fault, rollback } => with(Unhappy::Errored(fault.clone()), rollback),
            End::Cancelled { rollback } => with(Unhappy::Cancelled, rollback),
            End::Skipped(skip) => {
                let why = match skip {
                    Skip::Condition => "its `when` does not hold for this ref".to_owned(),
                    Skip::Needs(stage) => format!("stage `{stage}` did not pass"),
                    Skip::RunEnding => "another stage did not pass".to_owned(),
                };
                Self { skipped: Some(why), ..Self::default() }
            }
        }
    }
}
