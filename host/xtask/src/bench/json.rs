//! The figures for programs: an object with a number for each name, or nothing for what
//! was not measured.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::figures::{FIGURES, Findings};

/// Writes the file.
pub(super) fn write(path: &Path, findings: &Findings) -> Result<()> {
    let text = serde_json::to_string_pretty(&object(findings)).context("numbers can be written")?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))
}

fn object(findings: &Findings) -> Map<String, Value> {
    let figures = FIGURES.iter().map(|figure| {
        // More digits than this are noise.
        let value = findings.value(figure.name).map(|value| (value * 1e3).round() / 1e3);
        (figure.name.to_owned(), value.map_or(Value::Null, Value::from))
    });
    figures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_there() {
        let mut findings = Findings::default();
        findings.add("noop_pipeline_p50_ms", 6.123_456);
        findings.skip("act_p50_ms", "not wanted");
        let object = object(&findings);
        assert_eq!(object.len(), FIGURES.len());
        assert_eq!(object["noop_pipeline_p50_ms"], 6.123);
        assert!(object["act_p50_ms"].is_null() && object["ready_ms"].is_null());
    }

    #[test]
    fn the_names_that_were_promised_are_there() {
        let object = object(&Findings::default());
        for name in [
            "noop_pipeline_p50_ms",
            "noop_pipeline_p99_ms",
            "bare_commit_ms",
            "runs_per_second",
            "lease_to_first_call_us",
            "stage_call_us",
            "bare_wasmtime_call_us",
            "ready_ms",
            "idle_rss_mb",
            "act_p50_ms",
            "buildbot_p50_ms",
        ] {
            assert!(object.contains_key(name), "{name}");
        }
    }
}
