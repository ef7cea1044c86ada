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

/// How many bytes of tests go into one call, which may hold 8 MiB.
const BATCH_BYTES: usize = 1 << 20;
/// What a test costs beside its texts, in bytes.
const CASE_BYTES: usize = 128;
/// What of a text is passed on, in bytes: more than the host keeps, which marks where it cuts.
const TEXT_BYTES: usize = 65 << 10;

/// Reports tests, in as many calls as they need.
///
/// # Errors
/// Fails with `too-many` (a stage has 100,000) or `too-large` (16 MiB in all). Tests that went
/// into an earlier call are reported all the same.
pub fn test_cases(cases: &[TestCase]) -> Result<(), Failure> {
    batches(cases).try_for_each(|batch| match batch {
        [case] if size(case) > BATCH_BYTES => host::with(|host| host.reports_test_cases(&[cut(case)])),
        batch => host::with(|host| host.reports_test_cases(batch)),
    })
}

/// Divides tests into as few calls as they fit into.
fn batches(mut cases: &[TestCase]) -> impl Iterator<Item = &[TestCase]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fit = cases.iter().take_while(|case| {
            bytes += size(case);
            bytes <= BATCH_BYTES
        });
        let count = fit.count().max(1).min(cases.len());
        let (batch, rest) = cases.split_at(count);
        cases = rest;
        (!batch.is_empty()).then_some(batch)
    })
}

fn size(case: &TestCase) -> usize {
    let details: usize = case.details.iter().map(|(name, value)| name.len() + value.len()).sum();
    CASE_BYTES + case.suite.len() + case.name.len() + case.message.as_ref().map_or(0, String::len) + details
}

/// A test whose texts are no longer than the host looks at.
fn cut(case: &TestCase) -> TestCase {
    let cut = |text: &String| text.get(..text.floor_char_boundary(TEXT_BYTES)).unwrap_or(text).to_owned();
    TestCase {
        suite: cut(&case.suite),
        name: cut(&case.name),
        message: case.message.as_ref().map(cut),
        details: case.details.iter().map(|(name, value)| (cut(name), cut(value))).collect(),
        ..case.clone()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_go_into_as_few_calls_as_they_fit_into() {
        let sizes = |cases: &[TestCase]| batches(cases).map(<[TestCase]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        let small = TestCase::passed("s", "n");
        assert_eq!(sizes(&vec![small.clone(); 1_000]), [1_000]);
        let half = TestCase::failed("s", "n", "x".repeat(BATCH_BYTES / 2));
        assert_eq!(sizes(&[small.clone(), half.clone(), half, small.clone()]), [2, 2]);
        let huge = TestCase::failed("s", "n", "x".repeat(3 * BATCH_BYTES));
        assert_eq!(sizes(&[huge.clone(), small.clone(), huge]), [1, 1, 1]);
    }

    #[test]
    fn what_is_too_large_for_a_call_is_cut_to_what_the_host_looks_at() {
        let huge = TestCase::failed("s", "n", "ä".repeat(BATCH_BYTES)).detail("stdout", "y".repeat(BATCH_BYTES));
        let cut = cut(&huge);
        assert!(size(&cut) < BATCH_BYTES && size(&cut) > 128 << 10);
        assert_eq!((cut.name.as_str(), cut.outcome), ("n", Outcome::Failed));
    }
}
