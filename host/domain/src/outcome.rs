//! How a call of a stage ended. *Failed*, *errored* and *cancelled* never merge: users
//! mend the first, operators the second, and nobody needs to mend the third.

use std::time::Duration;

/// Why the plugin or the code it looked at said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A stable word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Whether the same again may succeed.
    pub retryable: bool,
    /// More facts.
    pub details: Vec<(String, String)>,
}

impl Failure {
    /// A failure without details that stays one when tried again.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, details: Vec::new() }
    }
}

/// Why the platform could not do its part, or would not let the stage go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The stage did not return in time.
    #[error("the stage did not end within its {} s", limit.as_secs())]
    Deadline {
        /// The time it had.
        limit: Duration,
    },
    /// A limit of the sandbox was reached.
    #[error("the stage reached its limit of {limit}")]
    Limit {
        /// Which limit, with its size: `256 MiB of memory`.
        limit: String,
    },
    /// The component trapped.
    #[error("the stage trapped: {message}")]
    Trap {
        /// What the engine says.
        message: String,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// The plugin cannot be loaded or does not fit the contract.
    #[error("plugin `{plugin}` cannot be used: {reason}")]
    Plugin {
        /// The plugin.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The worker was lost with this attempt, more than once.
    #[error("the worker was lost {times} times while it ran this stage; it is not tried again")]
    WorkerLost {
        /// How often.
        times: u32,
    },
    /// Something of the host did not work.
    #[error("{message}")]
    Host {
        /// What did not work.
        message: String,
    },
}

impl Fault {
    /// The stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "deadline",
            Self::Limit { .. } => "limit",
            Self::Trap { .. } => "trap",
            Self::Plugin { .. } => "plugin",
            Self::WorkerLost { .. } => "worker-lost",
            Self::Host { .. } => "host",
        }
    }
}

/// How a call ended that did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unhappy {
    /// The plugin said no.
    Failed(Failure),
    /// The platform could not.
    Errored(Fault),
    /// Somebody cancelled.
    Cancelled,
}

/// How a call of a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was for.
    Passed,
    /// It did not.
    Unhappy(Unhappy),
}

impl Outcome {
    /// The word used in JSON, SQL, metrics and messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Unhappy(Unhappy::Failed(_)) => "failed",
            Self::Unhappy(Unhappy::Errored(_)) => "errored",
            Self::Unhappy(Unhappy::Cancelled) => "cancelled",
        }
    }
}
