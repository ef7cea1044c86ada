//! Shows a run while it goes on: on a terminal with a line that moves for each running
//! stage, elsewhere as plain lines.

use crate::client::{Api, Path, path, shown, text};
use crate::output;
use anyhow::Context;
use futures_util::StreamExt;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// The log.
    pub(crate) logs: bool,
    /// Debug entries of the log too.
    pub(crate) debug: bool,
    /// JSON lines instead.
    pub(crate) json: bool,
}

/// How often a broken stream is taken up again before it is given up.
const RETRIES: u32 = 20;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows a run to its end and returns it.
pub(crate) async fn follow(api: &Api, run: &str, show: Show) -> anyhow::Result<Value> {
    let screen = Screen::new(show);
    let events = watch(api, run, &screen);
    let logs = async { if show.logs { print_log(api, run, None, true, show, Some(&screen)).await } else { Ok(()) } };
    let (events, logs) = tokio::join!(events, logs);
    let run = events?;
    logs?;
    screen.finish(&run);
    Ok(run)
}

async fn watch(api: &Api, run: &str, screen: &Screen) -> anyhow::Result<Value> {
    let view = path(&["runs", run]);
    stream(api, &path(&["runs", run, "events"]), 0, |_, _| async {
        screen.update(&api.get(&view).await?);
        Ok(())
    })
    .await?;
    let view = api.get(&view).await?;
    screen.update(&view);
    Ok(view)
}

/// Prints a run's log to its end, then how the run ended, and returns the run.
pub(crate) async fn follow_log(api: &Api, run: &str, stage: Option<&str>, show: Show) -> anyhow::Result<Value> {
    print_log(api, run, stage, true, show, None).await?;
    let run = api.get(&path(&["runs", run])).await?;
    if show.json {
        output::json(&run);
    } else {
        output::line(summary(&run));
    }
    Ok(run)
}

/// Prints a run's log, of one stage or of all; with `follow`, until the run ends.
pub(crate) async fn print_log(
    api: &Api,
    run: &str,
    stage: Option<&str>,
    follow: bool,
    show: Show,
    screen: Option<&Screen>,
) -> anyhow::Result<()> {
    let of_stage = |path: Path| match stage {
        Some(stage) => path.query("stage", stage),
        None => path,
    };
    if follow {
        return stream(api, &of_stage(path(&["runs", run, "logs", "stream"])), 0, |_, data| async move {
            let entry = serde_json::from_str(&data).context("a log entry is no JSON")?;
            print_entry(&entry, show, screen);
            Ok(())
        })
        .await;
    }
    let mut after = 0;
    loop {
        let page = api.get(&of_stage(path(&["runs", run, "logs"])).query("after", after)).await?;
        for entry in page.get("entries").and_then(Value::as_array).into_iter().flatten() {
            print_entry(entry, show, screen);
        }
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

fn print_entry(entry: &Value, show: Show, screen: Option<&Screen>) {
    let level = text(entry, "level");
    if level == "debug" && !show.debug {
        return;
    }
    if show.json {
        return output::json(entry);
    }
    let mark = match level {
        "warn" => "warning: ",
        "error" | "failed" => "error: ",
        "step" => "▸ ",
        "done" => "▸ done: ",
        "progress" => return,
        _ => "",
    };
    let mut message = text(entry, "message").lines();
    let first = output::plain(message.next().unwrap_or_default());
    let mut line = format!("{:>8} │ {mark}{first}", shown(entry, "stage"));
    for more in message {
        line.push_str(&format!("\n{:>8} │ {}", "", output::plain(more)));
    }
    for (name, value) in entry.get("fields").and_then(Value::as_object).into_iter().flatten() {
        if name != "step" && name != "name" {
            line.push_str(&format!(" {}={}", output::plain(name), output::plain(value.as_str().unwrap_or_default())));
        }
    }
    match screen {
        Some(screen) => screen.print(&line),
        None => output::line(line),
    }
}

/// Reads server-sent events to their `end`, resuming when the connection breaks.
async fn stream<F, R>(api: &Api, path: &Path, from: u64, mut each: F) -> anyhow::Result<()>
where
    F: FnMut(u64, String) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut last = from;
    let mut retries = 0;
    loop {
        let request = api.request(Method::GET, path).header("last-event-id", last.to_string());
        let opened = api.open(request).await;
        let response = match opened {
            Ok(response) => response,
            Err(error) if error.downcast_ref::<crate::client::Problem>().is_some() || retries >= RETRIES => {
                return Err(error);
            }
            Err(_) => {
                retries += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let mut bytes = response.bytes_stream();
        let mut buffer = Vec::new();
        let (mut id, mut event, mut data) = (last, String::new(), String::new());
        while let Some(Ok(piece)) = bytes.next().await {
            retries = 0;
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end_matches(['\n', '\r']);
                if let Some(value) = line.strip_prefix("id:") {
                    id = value.trim().parse().unwrap_or(id);
                } else if let Some(value) = line.strip_prefix("event:") {
                    value.trim().clone_into(&mut event);
                } else if let Some(value) = line.strip_prefix("data:") {
                    data.push_str(value.strip_prefix(' ').unwrap_or(value));
                } else if line.is_empty() && !event.is_empty() {
                    if event == "end" {
                        return Ok(());
                    }
                    last = id;
                    each(id, std::mem::take(&mut data)).await?;
                    event.clear();
                }
            }
        }
        retries += 1;
        anyhow::ensure!(retries <= RETRIES, "the connection to the server broke off and could not be taken up again");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where the course of a run is shown.
pub(crate) struct Screen {
    show: Show,
    bars: Option<MultiProgress>,
    stages: std::sync::Mutex<BTreeMap<String, Shown>>,
}

/// What was shown of a stage.
#[derive(Default)]
struct Shown {
    state: String,
    bar: Option<ProgressBar>,
}

impl Screen {
    fn new(show: Show) -> Self {
        let bars = (output::is_terminal() && !show.json).then(MultiProgress::new);
        Self { show, bars, stages: std::sync::Mutex::default() }
    }

    fn print(&self, line: &str) {
        match &self.bars {
            // A terminal that has gone away is no error.
            Some(bars) => drop(bars.println(line)),
            None => output::line(line),
        }
    }

    /// Shows what has changed since the last time.
    fn update(&self, run: &Value) {
        if self.show.json {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for stage in run.get("stages").and_then(Value::as_array).into_iter().flatten() {
            let last = stages.entry(text(stage, "name").to_owned()).or_default();
            let state = format!("{} {}", text(stage, "state"), text(stage, "phase"));
            if last.state == state {
                continue;
            }
            last.state = state;
            if let Some(bar) = last.bar.take() {
                bar.finish_and_clear();
            }
            match text(stage, "state") {
                "waiting" | "queued" => {}
                "running" => match &self.bars {
                    Some(bars) => last.bar = Some(spinner(bars, stage)),
                    None => output::line(format!("… {} ({})", shown(stage, "name"), shown(stage, "phase"))),
                },
                _ => self.print(&ended(stage)),
            }
        }
    }

    fn finish(&self, run: &Value) {
        if self.show.json {
            return output::json(run);
        }
        self.print(&summary(run));
    }
}

fn spinner(bars: &MultiProgress, stage: &Value) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(format!("{} ({})", shown(stage, "name"), shown(stage, "phase")));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Milliseconds as people read them.
pub(crate) fn duration(value: Option<&Value>) -> String {
    match value.and_then(Value::as_f64) {
        None => String::new(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) if ms < 60_000.0 => format!("{:.1} s", ms / 1_000.0),
        Some(ms) => format!("{:.0} min {:02.0} s", (ms / 60_000.0).floor(), (ms / 1_000.0) % 60.0),
    }
}

/// The glyph of a state.
pub(crate) fn glyph(state: &str) -> &'static str {
    match state {
        "passed" => "✓",
        "failed" => "✗",
        "errored" => "‼",
        "cancelled" => "⊘",
        "skipped" => "–",
        "running" | "cancelling" => "…",
        _ => "·",
    }
}

/// A stage that is over, with why.
pub(crate) fn ended(stage: &Value) -> String {
    let state = text(stage, "state");
    let time = duration(stage.get("duration_ms"));
    let mut line = format!("{} {}  {}  {time}", glyph(state), shown(stage, "name"), output::plain(state));
    for key in ["failure", "fault"] {
        let Some(why) = stage.get(key).filter(|why| !why.is_null()) else { continue };
        line.push_str(&format!("\n    {}: {}", shown(why, "code"), shown(why, "message")));
        for (name, value) in why.get("details").and_then(Value::as_object).into_iter().flatten() {
            let value = output::plain(value.as_str().unwrap_or_default());
            line.push_str(&format!("\n      {}: {value}", output::plain(name)));
        }
        for function in why.get("backtrace").and_then(Value::as_array).into_iter().flatten().take(4) {
            line.push_str(&format!("\n      at {}", output::plain(function.as_str().unwrap_or_default())));
        }
    }
    match text(stage, "rollback") {
        "done" => line.push_str("\n    rolled back"),
        "incomplete" => line.push_str("\n    the rollback is incomplete: look at what runs"),
        _ => {}
    }
    if let Some(why) = stage.get("skipped").and_then(Value::as_str) {
        line.push_str(&format!("\n    {}", output::plain(why)));
    }
    if let Some(address) = stage.get("outputs").and_then(|outputs| outputs.get("address")).and_then(Value::as_str) {
        line.push_str(&format!("\n    {}", output::plain(address)));
    }
    line
}

/// A run that is over, in a line.
pub(crate) fn summary(run: &Value) -> String {
    let state = text(run, "state");
    let culprit = match (state, shown(run, "culprit").as_str()) {
        (_, "") => String::new(),
        ("cancelled" | "cancelling", by) => format!(" by {by}"),
        (_, stage) => format!(" at stage {stage}"),
    };
    let time = duration(run.get("duration_ms"));
    format!("{} run {} {}{culprit}  {time}", glyph(state), shown(run, "id"), output::plain(state))
}

/// What programs get of a run that goes on without them.
pub(crate) fn detached(run: &Value) -> Value {
    json!({ "id": run.get("id"), "state": run.get("state") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_domain::text::is_deceptive;

    #[test]
    fn nothing_that_a_server_tells_acts_on_the_terminal() {
        let hostile = "a\u{1b}[2J\u{202e}\u{9b}b\nforged";
        let stage = json!({
            "name": hostile, "state": "failed", "phase": hostile, "skipped": hostile,
            "failure": { "code": hostile, "message": hostile, "details": { hostile: hostile } },
            "fault": { "code": hostile, "message": hostile, "backtrace": [hostile] },
            "outputs": { "address": hostile },
        });
        let run = json!({ "id": hostile, "state": hostile, "culprit": hostile });
        for text in [ended(&stage), summary(&run)] {
            assert!(!text.chars().any(|c| c != '\n' && is_deceptive(c)), "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
        }
        let sound = summary(&json!({ "id": "01", "state": "cancelled", "culprit": "ann" }));
        assert_eq!(sound.trim_end(), "⊘ run 01 cancelled by ann");
    }
}
