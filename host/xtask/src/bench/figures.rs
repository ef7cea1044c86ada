//! The figures there are, and what each should be: the one place to add one.
//!
//! Nothing here measures. An aim that is not met is told and fails nothing: how fast a
//! machine is on a given day is no property of the code.

use std::collections::BTreeMap;

/// Something that is measured.
#[derive(Debug)]
pub(super) struct Figure {
    /// Its name for programs, which ends with its unit.
    pub(super) name: &'static str,
    /// Its unit for people.
    pub(super) unit: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    /// What it should be.
    pub(super) aims: &'static [Aim],
}

/// What a figure should be. Others are named by their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aim {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No more than so many times another figure of the same unit.
    AtMostTimes(f64, &'static str),
    /// So many times less than another figure of the same unit.
    TimesLess(f64, &'static str),
}

/// All figures, in the order of the table.
pub(super) const FIGURES: [Figure; 16] = [
    Figure {
        name: "noop_pipeline_p50_ms",
        unit: "ms",
        about: "three no-op stages, trigger to end over HTTP, median",
        aims: &[
            Aim::AtMostTimes(4.0, "bare_commit_ms"),
            Aim::TimesLess(5.0, "act_p50_ms"),
            Aim::TimesLess(50.0, "buildbot_p50_ms"),
        ],
    },
    Figure { name: "noop_pipeline_p99_ms", unit: "ms", about: "the same, the slowest but one in a hundred", aims: &[] },
    Figure {
        name: "bare_commit_ms",
        unit: "ms",
        about: "one durable commit of this disk (SQLite, WAL, FULL), median",
        aims: &[],
    },
    Figure {
        name: "runs_per_second",
        unit: "/s",
        about: "such runs from 32 clients, sustained",
        aims: &[Aim::AtLeast(200.0)],
    },
    Figure {
        name: "noop_pipeline_later_p50_ms",
        unit: "ms",
        about: "one run at a time again, with many old ones in the store, median",
        aims: &[Aim::AtMostTimes(1.25, "noop_pipeline_new_p50_ms")],
    },
    Figure {
        name: "noop_pipeline_new_p50_ms",
        unit: "ms",
        about: "the same on a new server, by turns with it",
        aims: &[],
    },
    Figure {
        name: "first_run_ms",
        unit: "ms",
        about: "the very first run of a pipeline: fetched, described, compiled",
        aims: &[],
    },
    Figure {
        name: "lease_to_first_call_us",
        unit: "µs",
        about: "on the worker: lease's arrival to the guest's first host call, median",
        aims: &[],
    },
    Figure {
        name: "stage_call_us",
        unit: "µs",
        about: "on the worker: Store, WASI, instantiation, call, median",
        aims: &[Aim::AtMostTimes(2.0, "bare_wasmtime_call_us")],
    },
    Figure {
        name: "bare_wasmtime_call_us",
        unit: "µs",
        about: "the same component called by a bare wasmtime, median",
        aims: &[],
    },
    Figure {
        name: "ready_ms",
        unit: "ms",
        about: "cold start on a new data folder until a run can begin, median",
        aims: &[Aim::AtMost(500.0)],
    },
    Figure { name: "ready_again_ms", unit: "ms", about: "the same on a folder that was used before", aims: &[] },
    Figure {
        name: "idle_rss_mb",
        unit: "MB",
        about: "resident memory of all processes when idle, shared pages counted each time",
        aims: &[Aim::AtMost(120.0)],
    },
    Figure { name: "idle_pss_mb", unit: "MB", about: "the same, shared pages counted once", aims: &[] },
    Figure { name: "act_p50_ms", unit: "ms", about: "act: three steps `true`, a process a run, median", aims: &[] },
    Figure {
        name: "buildbot_p50_ms",
        unit: "ms",
        about: "Buildbot: three steps `true`, change hook to end, median",
        aims: &[],
    },
];

/// What a measurement came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// A number, and what there is to say about it.
    Value(f64, String),
    /// Nothing, and why.
    Skipped(String),
}

/// What was found for each figure.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<&'static str, Finding>);

impl Findings {
    /// Adds a number.
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.add_with(name, value, "");
    }

    /// Adds a number with something to say about it.
    pub(super) fn add_with(&mut self, name: &'static str, value: f64, note: impl Into<String>) {
        self.insert(name, Finding::Value(value, note.into()));
    }

    /// Says why there is no number.
    pub(super) fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        self.insert(name, Finding::Skipped(why.into()));
    }

    fn insert(&mut self, name: &'static str, finding: Finding) {
        debug_assert!(FIGURES.iter().any(|figure| figure.name == name), "`{name}` is in the list of figures");
        self.0.insert(name, finding);
    }

    /// What was found for a figure.
    pub(super) fn get(&self, name: &str) -> Option<&Finding> {
        self.0.get(name)
    }

    /// The number that was found for a figure.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Finding::Value(value, _) => Some(*value),
            Finding::Skipped(_) => None,
        }
    }
}

/// How a figure stands to one of its aims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The aim, with what was found where it is not the figure itself.
    pub(super) text: String,
    /// Whether it is met; nothing where that cannot be told.
    pub(super) met: Option<bool>,
}

impl Aim {
    /// Compares a figure's value with the aim.
    pub(super) fn judge(self, value: Option<f64>, findings: &Findings) -> Verdict {
        let ratio = |from: Option<f64>, to: Option<f64>| {
            let (from, to) = (from?, to?);
            (to > 0.0).then(|| from / to)
        };
        let told = |ratio: Option<f64>| ratio.map_or("not measured".to_owned(), |ratio| format!("{ratio:.1} times"));
        match self {
            Self::AtMost(limit) => Verdict { text: format!("at most {limit}"), met: value.map(|value| value <= limit) },
            Self::AtLeast(limit) => {
                Verdict { text: format!("at least {limit}"), met: value.map(|value| value >= limit) }
            }
            Self::AtMostTimes(times, other) => {
                let found = ratio(value, findings.value(other));
                let text = format!("at most {times} times {other}: {}", told(found));
                Verdict { text, met: found.map(|found| found <= times) }
            }
            Self::TimesLess(times, other) => {
                let found = ratio(findings.value(other), value);
                let text = format!("{times} times less than {other}: {}", told(found));
                Verdict { text, met: found.map(|found| found >= times) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let mut findings = Findings::default();
        findings.add("noop_pipeline_p50_ms", 6.0);
        findings.add("bare_commit_ms", 2.0);
        findings.add("act_p50_ms", 24.0);
        findings.skip("buildbot_p50_ms", "not wanted");
        findings
    }

    #[test]
    fn each_figure_has_a_name_of_its_own_and_aims_at_figures_of_its_unit() {
        for (index, figure) in FIGURES.iter().enumerate() {
            assert!(FIGURES[..index].iter().all(|other| other.name != figure.name), "{}", figure.name);
            for aim in figure.aims {
                if let Aim::AtMostTimes(_, other) | Aim::TimesLess(_, other) = aim {
                    let other = FIGURES.iter().find(|figure| figure.name == *other).unwrap();
                    assert_eq!(other.unit, figure.unit, "{}", figure.name);
                }
            }
        }
    }

    #[test]
    fn an_aim_is_met_at_its_limit() {
        let findings = findings();
        assert_eq!(Aim::AtMost(6.0).judge(Some(6.0), &findings).met, Some(true));
        assert_eq!(Aim::AtMost(6.0).judge(Some(6.1), &findings).met, Some(false));
        assert_eq!(Aim::AtLeast(6.0).judge(Some(6.0), &findings).met, Some(true));
        assert_eq!(Aim::AtLeast(6.0).judge(Some(5.9), &findings).met, Some(false));
        assert_eq!(Aim::AtMost(6.0).judge(None, &findings).met, None);
    }

    #[test]
    fn an_aim_beside_another_figure_tells_the_ratio() {
        let judge = |aim: Aim| aim.judge(findings().value("noop_pipeline_p50_ms"), &findings());
        let verdict = judge(Aim::AtMostTimes(4.0, "bare_commit_ms"));
        assert_eq!(verdict, Verdict { text: "at most 4 times bare_commit_ms: 3.0 times".into(), met: Some(true) });
        let verdict = judge(Aim::TimesLess(5.0, "act_p50_ms"));
        assert_eq!(verdict, Verdict { text: "5 times less than act_p50_ms: 4.0 times".into(), met: Some(false) });
        let verdict = judge(Aim::TimesLess(50.0, "buildbot_p50_ms"));
        assert_eq!(verdict, Verdict { text: "50 times less than buildbot_p50_ms: not measured".into(), met: None });
    }
}
