//! Gathers the results of all test programs, and reports them while they come in.

use slipway_sdk::prelude::*;
use slipway_sdk::reports::{Outcome, TestCase};
use slipway_sdk::tools::{Command, Exit, Stream};

use crate::libtest::{self, Event, Tested, Text};

/// How many tests go into one report: each report is a call to the host.
const BATCH: usize = 100;

/// How the programs print their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In JSON.
    Json,
    /// As text for people.
    Text,
    /// As text, and one package's documentation may be several programs without a name.
    Documentation,
}

/// How many tests ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// All results so far.
///
/// Names of programs come on standard error and results on standard output, so a name may
/// come after the first results. Those wait for it.
#[derive(Debug, Default)]
pub(crate) struct Results {
    cases: Vec<TestCase>,
    counts: Counts,
    /// How many cases were reported.
    sent: usize,
    /// The name of the program that is running.
    suite: Option<String>,
    /// Where its cases begin.
    suite_start: usize,
    /// The last name that cargo told and no program has used yet.
    heading: Option<String>,
    /// Whether a program is running, as far as standard output tells.
    is_running: bool,
    /// How many programs have begun.
    begun: u64,
    /// The last complaint of a command on standard error.
    complaint: Option<String>,
    is_full: bool,
}

impl Results {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs a command to its end and takes its results.
    pub(crate) fn follow(&mut self, command: &Command, mode: Mode, step: &log::Step) -> Result<Exit, Failure> {
        let mut text = Text::default();
        self.complaint = None;
        let mut process = command.start()?;
        for line in process.lines() {
            let events = match (line.stream, mode) {
                (Stream::Stderr, _) => {
                    self.name(libtest::heading(&line.text));
                    self.hear(&line.text);
                    continue;
                }
                (Stream::Stdout, Mode::Json) => libtest::json(&line.text).into_iter().collect(),
                (Stream::Stdout, Mode::Text | Mode::Documentation) => text.read(&line.text),
            };
            for event in events {
                self.take(event, mode, step)?;
            }
        }
        for event in text.rest() {
            self.take(event, mode, step)?;
        }
        self.close();
        process.wait()
    }

    /// Reports what has not been reported.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.close();
        self.send()
    }

    pub(crate) fn cases(&self) -> &[TestCase] {
        &self.cases
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many test programs have begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns why the last command could not do its part, as far as it said.
    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    pub(crate) fn failed_names(&self) -> Vec<&str> {
        let failed = self.cases.iter().filter(|case| case.outcome == Outcome::Failed);
        failed.map(|case| case.name.as_str()).collect()
    }

    /// Keeps the line that says best why a program does not start: that of the program's
    /// loader, or else cargo's first error.
    fn hear(&mut self, line: &str) {
        let line = line.trim();
        let is_loaders = line.contains("error while loading shared libraries") || line.contains("could not execute");
        if is_loaders || (line.starts_with("error") && self.complaint.is_none()) {
            self.complaint = Some(line.strip_prefix("error: ").unwrap_or(line).to_owned());
        }
    }

    /// Notes the name of the next program, or of the one that has just begun without.
    fn name(&mut self, heading: Option<String>) {
        let Some(heading) = heading else { return };
        if self.is_running && self.suite.is_none() {
            self.rename(&heading);
        } else {
            self.heading = Some(heading);
        }
    }

    fn take(&mut self, event: Event, mode: Mode, step: &log::Step) -> Result<(), Failure> {
        let ends = matches!(event, Event::Finished(_));
        match event {
            Event::Begun => {
                self.begun += 1;
                if mode != Mode::Documentation || self.heading.is_some() {
                    self.close();
                    self.suite = self.heading.take();
                }
                self.suite_start = self.cases.len();
                self.is_running = true;
            }
            Event::Ended(tested) => self.add(tested),
            Event::Finished(counted) => {
                let read = (self.cases.len() - self.suite_start) as u64;
                if read != counted {
                    warn!("the test program counted {counted} tests, but {read} could be read");
                }
                self.is_running = false;
                step.progress(self.cases.len() as u64, None);
            }
        }
        let is_due = ends || self.cases.len() - self.sent >= BATCH;
        if is_due && self.suite.is_some() { self.send() } else { Ok(()) }
    }

    fn add(&mut self, tested: Tested) {
        match tested.outcome {
            Outcome::Passed => self.counts.passed += 1,
            Outcome::Skipped => self.counts.skipped += 1,
            Outcome::Failed => {
                self.counts.failed += 1;
                let why = tested.message.as_deref().unwrap_or_default();
                error!("test `{}` failed: {why}", tested.name);
            }
        }
        let suite = self.suite.clone().unwrap_or_default();
        let mut case = TestCase::new(suite, tested.name, tested.outcome);
        case.time = tested.time;
        case.message = tested.message;
        self.cases.push(case);
    }

    /// Ends a program: one whose name never came gets a general one.
    fn close(&mut self) {
        if self.suite.is_none() {
            self.rename("tests");
        }
        self.suite = None;
        self.suite_start = self.cases.len();
        self.is_running = false;
    }

    /// Names the running program and its results so far.
    fn rename(&mut self, name: &str) {
        self.suite = Some(name.into());
        for case in self.cases.iter_mut().skip(self.suite_start) {
            case.suite = name.into();
        }
    }

    fn send(&mut self) -> Result<(), Failure> {
        let unsent = self.cases.get(self.sent..).unwrap_or_default();
        if !self.is_full {
            match reports::test_cases(unsent) {
                // The stage still knows them all; only the page does not show the rest.
                Err(failure) if matches!(failure.code.as_str(), "too-many" | "too-large") => {
                    warn!("there are more tests than can be reported: {}", failure.message);
                    self.is_full = true;
                }
                result => result?,
            }
        }
        self.sent = self.cases.len();
        Ok(())
    }
}
