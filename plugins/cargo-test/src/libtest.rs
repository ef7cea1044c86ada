//! Reads what the test programs of Rust's own harness print.

use std::time::Duration;

use slipway_sdk::reports::Outcome;
use slipway_sdk::serde_json::{self, Value};

#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::Text;

/// The longest account of a failure.
const ACCOUNT_BYTES_MAX: usize = 8 * 1024;

/// What a line told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A test program has begun.
    Begun,
    /// A test has ended.
    Ended(Tested),
    /// A test program has ended by itself, and counted this many tests.
    Finished(u64),
}

/// A test that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tested {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) time: Option<Duration>,
    pub(crate) message: Option<String>,
}

/// Returns the name of the program that cargo is about to run, from what it prints on
/// standard error: `Running unittests src/lib.rs (target/debug/deps/shop-0123)` or
/// `Doc-tests shop`.
pub(crate) fn heading(line: &str) -> Option<String> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (documentation)"));
    }
    let (source, program) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let file = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let name = file.rsplit_once('-').map_or(file, |(name, _hash)| name);
    Some(match source.strip_prefix("unittests ") {
        // A library and a program of one package have the same name.
        Some(source) if !source.ends_with("lib.rs") => format!("{name} ({source})"),
        _ => name.into(),
    })
}

/// Returns what a line of JSON tells, or `None` for what a test itself printed.
pub(crate) fn json(line: &str) -> Option<Event> {
    let message: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    match (text("type")?, text("event")?) {
        ("suite", "started") => Some(Event::Begun),
        ("suite", _) => {
            let count = |key: &str| message.get(key).and_then(Value::as_u64).unwrap_or(0);
            Some(Event::Finished(count("passed") + count("failed") + count("ignored") + count("measured")))
        }
        ("test", event) => {
            let outcome = match event {
                "ok" => Outcome::Passed,
                "failed" => Outcome::Failed,
                "ignored" => Outcome::Skipped,
                // It has started, or takes long.
                _ => return None,
            };
            let time = message.get("exec_time").and_then(Value::as_f64);
            let message = match outcome {
                Outcome::Failed => Some(account(text("stdout").unwrap_or_default(), text("message"))),
                Outcome::Passed | Outcome::Skipped => text("message").map(Into::into),
            };
            Some(Event::Ended(Tested {
                name: text("name")?.into(),
                outcome,
                time: time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                message,
            }))
        }
        ("bench", _) => Some(Event::Ended(Tested {
            name: text("name")?.into(),
            outcome: Outcome::Passed,
            time: None,
            message: None,
        })),
        _ => None,
    }
}

/// Tells why a test failed from what it printed: the panic's message first and its place
/// after it, because the first line is what lists show.
pub(crate) fn account(printed: &str, harness: Option<&str>) -> String {
    let mut account = match printed.split_once(" panicked at ") {
        Some((_, panic)) => {
            let (place, rest) = panic.split_once('\n').unwrap_or((panic, ""));
            let is_end = |line: &&str| line.starts_with("stack backtrace:") || line.starts_with("note: ");
            let message: Vec<&str> = rest.lines().take_while(|line| !is_end(line)).collect();
            let place = place.trim_end_matches(':');
            format!("{}\nat `{place}`", message.join("\n").trim_end())
        }
        None => printed.trim().to_owned(),
    };
    if let Some(harness) = harness {
        account = format!("{harness}\n{account}");
    }
    let account = account.trim();
    if account.is_empty() {
        return "the test failed without a word".into();
    }
    account.get(..account.floor_char_boundary(ACCOUNT_BYTES_MAX)).unwrap_or(account).into()
}
