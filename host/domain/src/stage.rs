//! Where one stage of a run stands.

use crate::name::{Epoch, StageName};
use crate::outcome::{Failure, Fault, Unhappy};
use crate::plugin::Kind;

/// Which export of the stage is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// `build`.
    Build,
    /// `test`.
    Test,
    /// `plan`.
    Plan,
    /// `apply`.
    Apply,
    /// `rollback`, because `apply` ended as it did.
    Rollback {
        /// How `apply` ended; the stage ends with it whatever the rollback does.
        cause: Unhappy,
    },
}

impl Phase {
    /// The first phase of a kind.
    pub const fn first(kind: Kind) -> Self {
        match kind {
            Kind::Build => Self::Build,
            Kind::Test => Self::Test,
            Kind::Deploy => Self::Plan,
        }
    }

    /// The word used in JSON, SQL and messages, which is the export's name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Rollback { .. } => "rollback",
        }
    }

    /// Whether a cancelled run ends this phase early. A change that has begun is
    /// finished or taken back, never left in the middle.
    pub const fn is_cancellable(&self) -> bool {
        match self {
            Self::Build | Self::Test | Self::Plan => true,
            Self::Apply | Self::Rollback { .. } => false,
        }
    }
}

/// One try at one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The phase.
    pub phase: Phase,
    /// Which attempt of the phase it is, from 1.
    pub number: u32,
    /// How many earlier attempts ended with the death of their worker.
    pub deaths: u32,
}

impl Attempt {
    /// The first attempt at a phase.
    pub const fn first(phase: Phase) -> Self {
        Self { phase, number: 1, deaths: 0 }
    }
}

/// What became of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollback {
    /// There was nothing to take back.
    NotNeeded,
    /// It was taken back.
    Done,
    /// It was not, or not wholly: somebody has to look.
    Incomplete(Unhappy),
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It did what it was for.
    Passed,
    /// The plugin said no.
    Failed {
        /// Why.
        failure: Failure,
        /// What was taken back.
        rollback: Rollback,
    },
    /// The platform could not do its part.
    Errored {
        /// Why.
        fault: Fault,
        /// What was taken back.
        rollback: Rollback,
    },
    /// Somebody cancelled the run.
    Cancelled {
        /// What was taken back.
        rollback: Rollback,
    },
    /// It was not run.
    Skipped(Skip),
}

/// Why a stage was not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skip {
    /// Its `when` does not hold for this trigger.
    Condition,
    /// A stage that it needs did not pass.
    Needs(StageName),
    /// Another stage failed or errored first.
    RunEnding,
}

impl End {
    /// The end of a stage that ended so, after `rollback`.
    pub fn unhappy(cause: Unhappy, rollback: Rollback) -> Self {
        match cause {
            Unhappy::Failed(failure) => Self::Failed { failure, rollback },
            Unhappy::Errored(fault) => Self::Errored { fault, rollback },
            Unhappy::Cancelled => Self::Cancelled { rollback },
        }
    }

    /// The word used in JSON, SQL, metrics and messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::Errored { .. } => "errored",
            Self::Cancelled { .. } => "cancelled",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// Where a stage stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageState {
    /// Stages that it needs have not ended.
    Waiting,
    /// It waits for a worker.
    Queued(Attempt),
    /// A worker holds it.
    Running {
        /// What the worker does.
        attempt: Attempt,
        /// The fence of its lease.
        epoch: Epoch,
    },
    /// It is over.
    Ended(End),
}

impl StageState {
    /// The word used in JSON, SQL, metrics and messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued(_) => "queued",
            Self::Running { .. } => "running",
            Self::Ended(end) => end.as_str(),
        }
    }

    /// Whether the stage is over.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// Its kind.
    pub kind: Kind,
    /// The stages it needs.
    pub needs: Vec<StageName>,
    /// Where it stands.
    pub state: StageState,
}
