//! One run after the other, from the request to the event that it has ended.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::figures::Findings;
use super::noop::{NOOP, TAG};
use super::statistics::{median, millis, percentile};
use super::{Bench, commit, noop, start};
use crate::interrupt;
use crate::slipway::api::Api;
use crate::ui::{Mark, Step};

/// Runs before the first one that counts.
const WARM_UP: u32 = 20;

/// Into how many parts runs and commits are cut, which take turns: the disk is not equally
/// quick all the time.
const TURNS: u32 = 10;

/// Measures runs and bare commits.
pub(super) fn measure(bench: &Bench<'_>, api: &Api, findings: &mut Findings) -> Result<()> {
    let step = Step::new("run three no-op stages, one run at a time");
    noop::add(bench, api, &NOOP)?;
    findings.add("first_run_ms", millis(once(api, NOOP.name)?.time));
    several(&step, api, WARM_UP)?;
    let (mut runs, mut commits) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let count = share(bench.arguments.runs, turn);
        runs.extend(several(&step, api, count)?);
        commits.extend(commit::several(bench, count)?);
    }
    findings.add("noop_pipeline_p50_ms", median(&runs));
    findings.add("noop_pipeline_p99_ms", percentile(&runs, 99.0));
    findings.add("bare_commit_ms", median(&commits));
    step.end(Mark::Good, &format!("{} runs", runs.len()));
    Ok(())
}

/// Measures runs again, now that others have filled the store, by turns with a server
/// that has none: a difference is then the history's, and not that of the hour.
pub(super) fn measure_later(bench: &Bench<'_>, api: &Api, findings: &mut Findings) -> Result<()> {
    let step = Step::new("run them by turns with a new server");
    let server = start::server(bench, &bench.home("new-server")?)?;
    let new_api = Api::new(&server.ready)?;
    noop::add(bench, &new_api, &NOOP)?;
    several(&step, &new_api, WARM_UP)?;
    let (mut later, mut new) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let count = share(bench.arguments.runs, turn);
        later.extend(several(&step, api, count)?);
        new.extend(several(&step, &new_api, count)?);
    }
    server.stop()?;
    let note = format!("after {} runs or more", bench.arguments.old_runs);
    findings.add_with("noop_pipeline_later_p50_ms", median(&later), note);
    findings.add("noop_pipeline_new_p50_ms", median(&new));
    step.end(Mark::Good, &format!("{} runs each", later.len()));
    Ok(())
}

/// A run that has passed.
pub(super) struct Passed {
    /// Its id.
    pub(super) id: String,
    /// From before the request to the event of its end.
    pub(super) time: Duration,
}

/// Triggers a run and waits for the event of its end.
pub(super) fn once(api: &Api, pipeline: &str) -> Result<Passed> {
    let began = Instant::now();
    let run = api.start(pipeline, TAG, None)?;
    let mut ended = None;
    api.events(&run.id, |event, data| {
        if event == "run-ended" {
            ended = Some((began.elapsed(), data.to_owned()));
        }
    })?;
    let (time, data) = ended.with_context(|| format!("the events of run `{}` ended before the run", run.id))?;
    let told: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
    match told.get("state").and_then(serde_json::Value::as_str) {
        Some("passed") => Ok(Passed { id: run.id, time }),
        _ => bail!("run `{}` did not pass: {data}", run.id),
    }
}

fn several(step: &Step, api: &Api, count: u32) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for number in 1..=count {
        interrupt::pause(Duration::ZERO)?;
        times.push(millis(once(api, NOOP.name)?.time));
        step.detail(&format!("{number} of {count}"));
    }
    Ok(times)
}

/// How many of these runs a turn has.
fn share(runs: u32, turn: u32) -> u32 {
    runs / TURNS + u32::from(turn < runs % TURNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turns_have_all_runs_between_them() {
        for runs in [10, 15, 200, 1_001] {
            assert_eq!((0..TURNS).map(|turn| share(runs, turn)).sum::<u32>(), runs);
        }
    }
}
