//! Reads the output that is made for people: the only one that every harness has.

use std::collections::BTreeMap;
use std::mem;

use slipway_sdk::reports::Outcome;

use super::{Event, Tested, account};

/// Reads one test program after the other, line by line.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// A test whose result stands apart from its name, because the test printed something.
    pending: Option<String>,
    /// Tests that failed: why is told at the end.
    failed: Vec<String>,
    /// What each failed test printed.
    printed: BTreeMap<String, String>,
    /// The test whose output is being read.
    section: Option<String>,
}

impl Text {
    /// Returns what a line of standard output tells.
    pub(crate) fn read(&mut self, line: &str) -> Vec<Event> {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.section = Some(bare(name).into());
            return Vec::new();
        }
        if let Some(summary) = line.strip_prefix("test result: ") {
            let mut events = self.rest();
            events.push(Event::Finished(counted(summary)));
            return events;
        }
        if let Some(name) = &self.section {
            // The second list of names ends the sections.
            if line == "failures:" {
                self.section = None;
            } else {
                let printed = self.printed.entry(name.clone()).or_default();
                printed.push_str(line);
                printed.push('\n');
            }
            return Vec::new();
        }
        if is_beginning(line) {
            // What the last program left unsaid when it crashed.
            let mut events = self.rest();
            events.push(Event::Begun);
            return events;
        }
        self.read_result(line).into_iter().collect()
    }

    /// Returns the failed tests of a program that has ended, or has been ended.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        self.pending = None;
        self.section = None;
        let mut printed = mem::take(&mut self.printed);
        mem::take(&mut self.failed)
            .into_iter()
            .map(|name| {
                let printed = printed.remove(&name).unwrap_or_default();
                let message = Some(account(&printed, None));
                Event::Ended(Tested { name, outcome: Outcome::Failed, time: None, message })
            })
            .collect()
    }

    /// Reads `test a::b ... ok`, also where the test printed something in the middle.
    fn read_result(&mut self, line: &str) -> Option<Event> {
        if let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = bare(name);
            let event = self.ended(name, result);
            self.pending = event.is_none().then(|| name.to_owned()).filter(|name| !self.failed.contains(name));
            return event;
        }
        let name = self.pending.take()?;
        let event = self.ended(&name, line);
        if event.is_none() && !self.failed.contains(&name) {
            self.pending = Some(name);
        }
        event
    }

    /// Returns the end of a test, unless it failed: then it is kept until the reason is
    /// known.
    fn ended(&mut self, name: &str, result: &str) -> Option<Event> {
        let word = result.split(['<', ',']).next().unwrap_or(result).trim();
        let outcome = match word {
            "ok" => Outcome::Passed,
            "ignored" => Outcome::Skipped,
            "FAILED" | "failed" => {
                self.failed.push(name.into());
                return None;
            }
            other if other.starts_with("bench:") => Outcome::Passed,
            _ => return None,
        };
        let reason = result.strip_prefix("ignored, ").map(Into::into);
        Some(Event::Ended(Tested { name: name.into(), outcome, time: None, message: reason }))
    }
}

/// Says whether a line is `running 3 tests`.
fn is_beginning(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("running ") else { return false };
    let Some((count, word)) = rest.split_once(' ') else { return false };
    count.parse::<u64>().is_ok() && (word == "test" || word == "tests")
}

/// Returns a test's name without what the harness says about its kind.
fn bare(name: &str) -> &str {
    name.strip_suffix(" - should panic").unwrap_or(name)
}

/// Adds up `FAILED. 1 passed; 2 failed; 3 ignored; 0 measured; 9 filtered out; …`.
fn counted(summary: &str) -> u64 {
    summary
        .split([';', '.'])
        .filter_map(|part| part.trim().split_once(' '))
        .filter(|(_, word)| ["passed", "failed", "ignored", "measured"].contains(word))
        .filter_map(|(count, _)| count.parse::<u64>().ok())
        .sum()
}
