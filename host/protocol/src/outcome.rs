//! Outcomes on the wire, to and from those of the domain.

use serde::{Deserialize, Serialize};
use slipway_domain::outcome as domain;
use std::time::Duration;

/// [`domain::Failure`] on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Whether the same again may succeed.
    #[serde(default)]
    pub retryable: bool,
    /// More facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

impl Failure {
    /// A failure without details.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        domain::Failure::new(code, message).into()
    }
}

impl From<domain::Failure> for Failure {
    fn from(failure: domain::Failure) -> Self {
        let domain::Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

impl From<Failure> for domain::Failure {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

/// [`domain::Fault`] on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// The stage did not return in time.
    Deadline {
        /// The time it had, in milliseconds.
        limit_ms: u64,
    },
    /// A limit of the sandbox was reached.
    Limit {
        /// Which limit.
        limit: String,
    },
    /// The component trapped.
    Trap {
        /// What the engine says.
        message: String,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// The plugin cannot be loaded or does not fit the contract.
    Plugin {
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The worker was lost with this attempt, more than once.
    WorkerLost {
        /// How often.
        times: u32,
    },
    /// Something of the host did not work.
    Host {
        /// What did not work.
        message: String,
    },
}

impl From<domain::Fault> for Fault {
    fn from(fault: domain::Fault) -> Self {
        match fault {
            domain::Fault::Deadline { limit } => {
                Self::Deadline { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
            }
            domain::Fault::Limit { limit } => Self::Limit { limit },
            domain::Fault::Trap { message, backtrace } => Self::Trap { message, backtrace },
            domain::Fault::Plugin { plugin, reason } => Self::Plugin { plugin, reason },
            domain::Fault::WorkerLost { times } => Self::WorkerLost { times },
            domain::Fault::Host { message } => Self::Host { message },
        }
    }
}

impl From<Fault> for domain::Fault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Deadline { limit_ms } => Self::Deadline { limit: Duration::from_millis(limit_ms) },
            Fault::Limit { limit } => Self::Limit { limit },
            Fault::Trap { message, backtrace } => Self::Trap { message, backtrace },
            Fault::Plugin { plugin, reason } => Self::Plugin { plugin, reason },
            Fault::WorkerLost { times } => Self::WorkerLost { times },
            Fault::Host { message } => Self::Host { message },
        }
    }
}

/// [`domain::Unhappy`] on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum Unhappy {
    /// The plugin said no.
    Failed(Failure),
    /// The platform could not.
    Errored(Fault),
    /// Somebody cancelled.
    Cancelled,
}

impl From<domain::Unhappy> for Unhappy {
    fn from(unhappy: domain::Unhappy) -> Self {
        match unhappy {
            domain::Unhappy::Failed(failure) => Self::Failed(failure.into()),
            domain::Unhappy::Errored(fault) => Self::Errored(fault.into()),
            domain::Unhappy::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Unhappy> for domain::Unhappy {
    fn from(unhappy: Unhappy) -> Self {
        match unhappy {
            Unhappy::Failed(failure) => Self::Failed(failure.into()),
            Unhappy::Errored(fault) => Self::Errored(fault.into()),
            Unhappy::Cancelled => Self::Cancelled,
        }
    }
}

/// [`domain::Outcome`] on the wire: nothing, or why it did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhappy: Option<Unhappy>,
}

impl From<domain::Outcome> for Outcome {
    fn from(outcome: domain::Outcome) -> Self {
        match outcome {
            domain::Outcome::Passed => Self { unhappy: None },
            domain::Outcome::Unhappy(unhappy) => Self { unhappy: Some(unhappy.into()) },
        }
    }
}

impl From<Outcome> for domain::Outcome {
    fn from(outcome: Outcome) -> Self {
        outcome.unhappy.map_or(Self::Passed, |unhappy| Self::Unhappy(unhappy.into()))
    }
}
