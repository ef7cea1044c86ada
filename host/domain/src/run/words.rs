//! What a run can be, what can happen to it, and what follows: the words of its state machine.

use crate::name::{Epoch, StageName};
use crate::outcome::Outcome;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Nothing of it has run yet.
    Queued,
    /// At least one stage was given to a worker.
    Running,
    /// Somebody cancelled it, and something of it still runs.
    Cancelling {
        /// Who.
        by: String,
    },
    /// It is over.
    Ended(RunEnd),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// Every stage that was to run passed.
    Passed,
    /// A stage failed: for users to mend.
    Failed {
        /// The first stage that did.
        stage: StageName,
    },
    /// A stage errored: for operators to mend.
    Errored {
        /// The first stage that did.
        stage: StageName,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// Who.
        by: String,
    },
}

impl RunState {
    /// The word used in JSON, SQL, metrics and messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling { .. } => "cancelling",
            Self::Ended(RunEnd::Passed) => "passed",
            Self::Ended(RunEnd::Failed { .. }) => "failed",
            Self::Ended(RunEnd::Errored { .. }) => "errored",
            Self::Ended(RunEnd::Cancelled { .. }) => "cancelled",
        }
    }

    /// Whether the run is over.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// Why an attempt lost its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The worker died or fell silent while it held the attempt, so the attempt is suspect.
    Death,
    /// The worker was stopped in good order, or control itself was restarted.
    Innocent,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker took the queued attempt of a stage.
    Leased {
        /// The stage.
        stage: StageName,
        /// The fence of the lease.
        epoch: Epoch,
    },
    /// The holder of the lease says how the attempt ended.
    Ended {
        /// The stage.
        stage: StageName,
        /// The fence of the holder's lease.
        epoch: Epoch,
        /// How it ended.
        outcome: Outcome,
    },
    /// The lease is over without a result.
    LeaseLost {
        /// The stage.
        stage: StageName,
        /// The fence of the lease.
        epoch: Epoch,
        /// Why.
        loss: Loss,
    },
    /// Somebody cancels the run.
    CancelRequested {
        /// Who.
        by: String,
    },
}

/// What has to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Offer the queued attempt of this stage to workers.
    Queue(StageName),
    /// Take the queued attempt of this stage back.
    Withdraw(StageName),
    /// Tell the holder of this lease to stop.
    Stop {
        /// The stage.
        stage: StageName,
        /// The lease.
        epoch: Epoch,
    },
    /// The run is over; nothing is left to be done.
    End,
}

/// Why an event does not apply. The run is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTransition {
    /// The run is over.
    #[error("the run is over")]
    RunEnded,
    /// The run is being cancelled already.
    #[error("the run is being cancelled already")]
    AlreadyCancelling,
    /// There is no such stage.
    #[error("the run has no stage `{0}`")]
    UnknownStage(StageName),
    /// The stage is not waiting for a worker.
    #[error("stage `{0}` does not wait for a worker")]
    NotQueued(StageName),
    /// The sender's lease was taken from it.
    #[error("the lease with epoch {epoch} no longer holds stage `{stage}`")]
    Fenced {
        /// The stage.
        stage: StageName,
        /// The sender's epoch.
        epoch: Epoch,
    },
}
