//! How many tests passed, failed and were skipped, as test programs tell it.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// The counts of some tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Counts {
    /// One test.
    pub(super) fn one(passed: bool) -> Self {
        Self { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    /// Reads the line that a test program closes with:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let (_, counted) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number =
            |what: &str| counted.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok());
        Some(Self { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Follows the output of `cargo test` and adds up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What the programs have counted that ended.
    pub(super) counts: Counts,
    /// How many tests ended, in programs that may still run.
    pub(super) seen: u64,
}

impl Tally {
    /// Reads a line.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = Counts::read(line) {
            self.counts += counts;
        } else if line.starts_with("test ") && line.contains(" ... ") {
            self.seen += 1;
        }
    }

    /// Ends the counting. A program that did not compile, or crashed, leaves no failed test
    /// behind, but cargo knows.
    pub(super) fn end(self, success: bool) -> Counts {
        let unseen = !success && self.counts.failed == 0;
        self.counts + Counts { failed: unseen.into(), ..Counts::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling one v0.1.0
     Running unittests src/lib.rs (target/debug/deps/one-1)

running 3 tests
test a ... ok
test b ... FAILED
test c ... ignored, needs a network

failures:
    b

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s

   Doc-tests one

running 1 test
test src/lib.rs - (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.31s
";

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn all_programs_are_added_up() {
        let tally = tally(OUTPUT);
        assert_eq!(tally.seen, 4);
        assert_eq!(tally.end(false), Counts { passed: 2, failed: 1, skipped: 1 });
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(tally("error: could not compile `one`").end(false), Counts::one(false));
        let crashed =
            "running 2 tests\ntest a ... ok\nerror: test failed, to rerun pass `--lib`\n\nCaused by:\n  signal: 6";
        assert_eq!(tally(crashed).end(false), Counts::one(false));
    }

    #[test]
    fn no_tests_are_no_failure() {
        let empty = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(tally(empty).end(true), Counts::default());
    }

    #[test]
    fn other_lines_are_not_results() {
        for line in
            ["", "test result:", "test result: ok. many passed", "  test result: ok. 1 passed; 0 failed; 0 ignored"]
        {
            assert_eq!(Counts::read(line), None, "{line}");
        }
    }

    #[test]
    fn the_closing_line_is_read_by_programs() {
        let counts = Counts { passed: 123, failed: 0, skipped: 4 };
        assert_eq!(counts.to_string(), "123 passed, 0 failed, 4 skipped");
    }
}
