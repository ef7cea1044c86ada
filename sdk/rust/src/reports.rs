//! Findings that people want to see apart from the log: tests and planned changes.

use std::time::Duration;

use crate::Failure;
use crate::host;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// It was not run.
    Skipped,
}

impl Outcome {
    /// Returns the word for it: `passed`, `failed` or `skipped`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCase {
    /// The suite, class or crate it belongs to.
    pub suite: String,
    /// Its name within the suite.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, where that is known.
    pub time: Option<Duration>,
    /// Why it failed or was skipped.
    pub message: Option<String>,
    /// More facts. Known names are `file`, `line`, `column`, `stdout` and `stderr`.
    pub details: Vec<(String, String)>,
}

impl TestCase {
    /// Makes a test that ended as `outcome` says.
    pub fn new(suite: impl Into<String>, name: impl Into<String>, outcome: Outcome) -> Self {
        Self { suite: suite.into(), name: name.into(), outcome, time: None, message: None, details: Vec::new() }
    }

    /// Makes a test that passed.
    pub fn passed(suite: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(suite, name, Outcome::Passed)
    }

    /// Makes a test that failed, with the reason.
    pub fn failed(suite: impl Into<String>, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), ..Self::new(suite, name, Outcome::Failed) }
    }

    /// Makes a test that was not run.
    pub fn skipped(suite: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(suite, name, Outcome::Skipped)
    }

    /// Says how long it took.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// Says why it failed or was skipped.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Adds a fact: `file`, `line` and `column` say where it stands, `stdout` and `stderr` what
    /// it wrote.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.details.push((name.into(), value.to_string()));
        self
    }

    /// Returns its time as the host takes it.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn time_us(&self) -> Option<u64> {
        self.time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Reports tests. A long run reports them in batches, as they come in.
///
/// # Errors
/// Fails with `too-many` (a stage has 100,000) or `too-large` (16 MiB in all).
pub fn test_cases(cases: &[TestCase]) -> Result<(), Failure> {
    if cases.is_empty() {
        return Ok(());
    }
    host::with(|host| host.reports_test_cases(cases))
}

/// Tells one change that `apply` would make. Only `plan` may call it.
///
/// `action` is a verb such as `create`, `replace` or `remove`; `object` names the thing;
/// `before` and `after` show it.
///
/// # Errors
/// Fails with `not-in-this-phase`, or with `too-many` or `too-large` as [`test_cases`] does.
pub fn change(action: &str, object: &str, before: Option<&str>, after: Option<&str>) -> Result<(), Failure> {
    host::with(|host| host.reports_change(action, object, before, after))
}
