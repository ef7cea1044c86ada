//! The figures for people: a line each, and a line below for each aim.

use super::figures::{Aim, FIGURES, Figure, Finding, Findings, Verdict};
use crate::ui::{Colour, Mark};

/// How wide a line's first column is: the longest name of a figure.
const NAME: usize = 26;

/// How wide the column of numbers is.
const VALUE: usize = 9;

/// Returns the table.
pub(super) fn table(findings: &Findings) -> String {
    let mut lines = vec![String::new()];
    for figure in &FIGURES {
        lines.push(line(figure, findings.get(figure.name)));
        let value = findings.value(figure.name);
        lines.extend(figure.aims.iter().map(|aim: &Aim| aim_line(&aim.judge(value, findings))));
    }
    lines.push(String::new());
    lines.push(summary(findings));
    lines.join("\n")
}

fn line(figure: &Figure, finding: Option<&Finding>) -> String {
    let Figure { name, unit, about, .. } = figure;
    match finding {
        Some(Finding::Value(value, note)) => {
            let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
            format!("{name:<NAME$}  {:>VALUE$} {unit:<2}  {about}{note}", number(*value))
        }
        Some(Finding::Skipped(why)) => absent(name, &format!("{about}: skipped, {why}")),
        None => absent(name, &format!("{about}: not measured")),
    }
}

fn absent(name: &str, told: &str) -> String {
    format!("{name:<NAME$}  {:>VALUE$}     {}", "–", Colour::Dim.paint(told))
}

fn aim_line(verdict: &Verdict) -> String {
    let (mark, word) = match verdict.met {
        Some(true) => (Mark::Good, "met"),
        Some(false) => (Mark::Bad, "not met"),
        None => (Mark::Skipped, "unknown"),
    };
    format!("{:NAME$}  {:VALUE$} {}   aim {word}: {}", "", "", mark.sign(), verdict.text)
}

fn summary(findings: &Findings) -> String {
    let verdicts = FIGURES.iter().flat_map(|figure| {
        let value = findings.value(figure.name);
        figure.aims.iter().map(move |aim| aim.judge(value, findings))
    });
    let verdicts: Vec<Verdict> = verdicts.collect();
    let count = |met: Option<bool>| verdicts.iter().filter(|verdict| verdict.met == met).count();
    format!("aims: {} met, {} not met, {} unknown", count(Some(true)), count(Some(false)), count(None))
}

/// A number with about three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..1_000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_followed_by_its_aims() {
        let mut findings = Findings::default();
        findings.add_with("noop_pipeline_p50_ms", 6.0, "200 runs");
        findings.add("bare_commit_ms", 1.0);
        findings.add("act_p50_ms", 90.0);
        findings.skip("buildbot_p50_ms", "`--without-peers`");
        let table = table(&findings);
        let first: Vec<&str> = table.lines().skip(1).take(4).collect();
        assert_eq!(
            first,
            [
                "noop_pipeline_p50_ms             6.00 ms  three no-op stages, trigger to end over HTTP, median (200 runs)",
                "                                      ✗   aim not met: at most 4 times bare_commit_ms: 6.0 times",
                "                                      ✓   aim met: 5 times less than act_p50_ms: 15.0 times",
                "                                      –   aim unknown: 50 times less than buildbot_p50_ms: not measured",
            ]
        );
        assert!(table.contains("skipped, `--without-peers`"), "{table}");
        assert!(table.ends_with("aims: 1 met, 1 not met, 6 unknown"), "{table}");
    }

    #[test]
    fn the_first_column_holds_every_name() {
        assert_eq!(FIGURES.iter().map(|figure| figure.name.len()).max(), Some(NAME));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.5, "0.50"), (9.994, "9.99"), (12.34, "12.3"), (999.0, "999.0"), (1_073.2, "1073")] {
            assert_eq!(number(value), text);
        }
    }
}
