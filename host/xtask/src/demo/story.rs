//! What the demo shows: three tags, and what becomes of them.

use std::time::Duration;

use anyhow::{Result, bail};

use super::app::App;
use super::load::{Load, Tally};
use super::repository::Repository;
use super::watch;
use crate::interrupt;
use crate::slipway::api::Api;
use crate::slipway::wire::Run;
use crate::ui::{self, Colour};

const PIPELINE: &str = "hello";

/// How much of a log is shown when something went wrong.
const LOG_LINES: usize = 60;

/// How long requests go on after a release was rolled back.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Tells the story, and fails if it goes otherwise.
pub(super) fn tell(api: &Api, app: &App, repository: &Repository) -> Result<()> {
    let teller = Teller { api, app, repository };
    teller.goes_live()?;
    teller.fails_its_tests()?;
    teller.is_not_healthy()
}

struct Teller<'a> {
    api: &'a Api,
    app: &'a App,
    repository: &'a Repository,
}

impl Teller<'_> {
    /// `v1.0.0` is what its users get.
    fn goes_live(&self) -> Result<()> {
        self.heading("v1.0.0", "a small shop: built, tested, deployed");
        self.repository.tag("v1.0.0", "Open the shop")?;
        self.api.add_pipeline(PIPELINE, &self.repository.folder.to_string_lossy())?;
        let run = self.run("v1.0.0")?;
        self.expect(&run, "passed", None)?;
        self.live_is("1.0.0")?;

        ui::line(&format!("\n  live at {}", Colour::Bold.paint(&self.app.address)));
        self.show("GET /version", &self.app.get("/version")?.body);
        self.show("GET /items/mug", &self.app.get("/items/mug")?.body);
        self.show("POST /quote  mug=2", &self.app.post("/quote", "mug=2")?.body);
        Ok(())
    }

    /// `v1.0.1` ends at its tests.
    fn fails_its_tests(&self) -> Result<()> {
        self.heading("v1.0.1", "drops the rest of a cent: its tests say no");
        self.repository.tag("v1.0.1", "Round prices down")?;
        let run = self.run("v1.0.1")?;
        self.expect(&run, "failed", Some(("test", "tests-failed")))?;
        self.live_is("1.0.0")?;
        self.show("GET /version", &self.app.get("/version")?.body);
        Ok(())
    }

    /// `v1.0.2` is taken back before anybody gets it.
    fn is_not_healthy(&self) -> Result<()> {
        self.heading("v1.0.2", "passes its tests, but is not healthy when it starts: rolled back");
        self.repository.tag("v1.0.2", "Take other currencies")?;
        let load = Load::start(self.app, "1.0.0");
        let run = self.run("v1.0.2")?;
        interrupt::pause(AFTERMATH)?;
        let tally = load.stop();
        ui::line(&format!("  {}", told(&tally)));
        if let Some(reason) = &tally.first_failure {
            bail!(
                "{} of {} requests failed while a release was rolled back; the first one: {reason}",
                tally.failures,
                tally.requests
            );
        }
        self.expect(&run, "failed", Some(("deploy", "unhealthy")))?;
        self.live_is("1.0.0")?;
        self.show("GET /version", &self.app.get("/version")?.body);
        Ok(())
    }

    fn run(&self, reference: &str) -> Result<Run> {
        let run = self.api.start(PIPELINE, reference, Some(&format!("demo-{reference}")))?;
        watch::follow(self.api, reference, &run)
    }

    /// Fails unless the run ended so: in this state, because of this stage and its code.
    fn expect(&self, run: &Run, state: &str, cause: Option<(&str, &str)>) -> Result<()> {
        let caused = cause.is_none_or(|(stage, code)| {
            run.stage(stage).is_some_and(|stage| stage.state == "failed" && stage.code() == code)
        });
        if run.state == state && caused {
            return Ok(());
        }
        self.show_log(run);
        let wanted = cause.map_or_else(String::new, |(stage, code)| format!(" at `{stage}` with `{code}`"));
        bail!("run `{}` should have {state}{wanted}, but {}", run.id, how_it_ended(run))
    }

    /// Fails unless this version answers.
    fn live_is(&self, version: &str) -> Result<()> {
        let found = self.app.version()?;
        if found == version { Ok(()) } else { bail!("version {found} answers, where {version} should") }
    }

    /// Prints the log of the stages that did not pass. What cannot be had is no error here.
    fn show_log(&self, run: &Run) {
        let unhappy = |state: &str| !matches!(state, "passed" | "skipped" | "waiting" | "queued");
        for stage in run.stages.iter().filter(|stage| unhappy(&stage.state)) {
            let Ok(entries) = self.api.log(&run.id, &stage.name) else { continue };
            ui::line(&format!("\n  the end of the log of stage `{}`:", stage.name));
            for entry in entries.iter().skip(entries.len().saturating_sub(LOG_LINES)) {
                ui::line(&format!("    {:<5} {}", entry.level, entry.message.trim_end()));
            }
        }
    }

    fn heading(&self, version: &str, text: &str) {
        ui::line(&format!("\n{}  {text}", Colour::Bold.paint(version)));
    }

    fn show(&self, request: &str, answer: &str) {
        ui::line(&format!("  {}  {}", Colour::Dim.paint(request), answer.trim()));
    }
}

fn how_it_ended(run: &Run) -> String {
    let unhappy = run.stages.iter().find(|stage| matches!(stage.state.as_str(), "failed" | "errored" | "cancelled"));
    match unhappy {
        None => run.state.clone(),
        Some(stage) => {
            let reason = stage.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} at `{}`{reason}", run.state, stage.name)
        }
    }
}

fn told(tally: &Tally) -> String {
    let Tally { requests, failures, slowest, .. } = tally;
    format!("{requests} requests meanwhile, {failures} failed; the slowest took {} ms", slowest.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surprise_is_told_with_its_stage() {
        let run: Run = serde_json::from_value(serde_json::json!({
            "id": "1", "state": "errored",
            "stages": [{"name": "build", "state": "errored", "fault": {"message": "there is no tool `rust`"}}],
        }))
        .unwrap();
        assert_eq!(how_it_ended(&run), "errored at `build`: there is no tool `rust`");
    }

    #[test]
    fn the_load_is_told_in_a_line() {
        let tally = Tally { requests: 210, slowest: Duration::from_micros(7_900), ..Tally::default() };
        assert_eq!(told(&tally), "210 requests meanwhile, 0 failed; the slowest took 7 ms");
    }
}
