//! A run, shown while it goes on: a line for each stage when it ends.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;
use crate::slipway::api::Api;
use crate::slipway::wire::{Run, Stage};
use crate::ui::{self, Colour, Mark, Step};

/// How often the run is asked about. Stages of the demo take seconds.
const PACE: Duration = Duration::from_millis(150);

/// How long a run may take: far longer than any does.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Follows a run to its end.
pub(super) fn follow(api: &Api, reference: &str, started: &Run) -> Result<Run> {
    let step = Step::new(format!("  {reference}"));
    let (begun, mut told) = (Instant::now(), HashSet::new());
    loop {
        let run = api.run(&started.id)?;
        for stage in run.stages.iter().filter(|stage| stage.has_ended()) {
            if told.insert(stage.name.clone()) {
                step.line(&line(stage));
            }
        }
        if run.has_ended() {
            let time = ui::seconds(step.clear());
            ui::line(&Colour::Dim.paint(&format!("  run {} {} after {time}", run.id, run.state)));
            return Ok(run);
        }
        step.detail(&now(&run));
        if begun.elapsed() > LIMIT {
            bail!("run `{}` did not end within {} min", run.id, LIMIT.as_secs() / 60);
        }
        interrupt::pause(PACE)?;
    }
}

/// What a stage that ended says.
fn line(stage: &Stage) -> String {
    let mark = match stage.state.as_str() {
        "passed" => Mark::Good,
        "skipped" => Mark::Skipped,
        _ => Mark::Bad,
    };
    let time = stage.duration_ms.and_then(|millis| Duration::try_from_secs_f64(millis / 1_000.0).ok());
    let time = time.map(ui::seconds).unwrap_or_default();
    let mut text = format!("  {} {:<8}{time:>9}", mark.sign(), stage.name);
    if mark != Mark::Good {
        text.push_str(&format!("  {}", stage.state));
    }
    if let Some(reason) = stage.reason() {
        text.push_str(&format!(": {reason}"));
    }
    if let Some(rollback) = stage.rollback.as_ref().filter(|rollback| !rollback.is_null()) {
        let state = rollback.as_str().or_else(|| rollback.get("state")?.as_str());
        text.push_str(&format!(" (rollback: {})", state.map_or_else(|| rollback.to_string(), str::to_owned)));
    }
    text.trim_end().to_owned()
}

/// What goes on at the moment.
fn now(run: &Run) -> String {
    let running = run.stages.iter().filter(|stage| stage.state == "running").map(|stage| match &stage.phase {
        Some(phase) if *phase != stage.name => format!("{}: {phase}", stage.name),
        _ => stage.name.clone(),
    });
    let stages: Vec<String> = running.collect();
    if stages.is_empty() { run.state.clone() } else { stages.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stage(value: serde_json::Value) -> Stage {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_line_tells_how_a_stage_ended() {
        let passed = stage(json!({"name": "build", "state": "passed", "duration_ms": 1234}));
        assert_eq!(line(&passed), "  ✓ build      1.23 s");
        let skipped = stage(json!({"name": "deploy", "state": "skipped"}));
        assert_eq!(line(&skipped), "  – deploy             skipped");
        let failed = stage(json!({
            "name": "deploy", "state": "failed", "duration_ms": 20_000, "rollback": {"state": "done"},
            "failure": {"code": "unhealthy", "message": "it answered 503"},
        }));
        assert_eq!(line(&failed), "  ✗ deploy     20.0 s  failed: it answered 503 (rollback: done)");
    }

    #[test]
    fn what_goes_on_is_the_phase() {
        let run = |stages| Run { id: "1".into(), state: "running".into(), stages };
        assert_eq!(now(&run(vec![])), "running");
        let build = stage(json!({"name": "build", "state": "running", "phase": "build"}));
        let deploy = stage(json!({"name": "deploy", "state": "running", "phase": "plan"}));
        assert_eq!(now(&run(vec![build, deploy])), "build, deploy: plan");
    }
}
