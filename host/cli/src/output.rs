//! All that is printed.

use crate::args::{Args, Command};
use slipway_domain::text::is_deceptive;
use std::io::{IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// Prints text on standard output. Whatever a caller has overlooked in it that acts on a
/// terminal is shown instead of obeyed.
pub(crate) fn line(text: impl AsRef<str>) {
    exact(harmless(text.as_ref()));
}

/// Prints text on standard output as it is. A reader that has gone away is no error.
pub(crate) fn exact(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // `slipway runs | head` closes the pipe; there is nobody left to tell.
    let _closed = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).is_err();
}

/// Prints a value as JSON, on one line.
pub(crate) fn json(value: &serde_json::Value) {
    exact(escaped(&value.to_string()));
}

/// JSON in which nothing acts on a terminal. What does stands within strings only, where an
/// escape means the same.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if is_deceptive(c) {
            c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Prints text on standard error, for people. As [`line()`].
pub(crate) fn note(text: impl AsRef<str>) {
    note_exact(harmless(text.as_ref()));
}

/// Prints text on standard error as it is: a report with colours of ours.
pub(crate) fn note_exact(text: impl AsRef<str>) {
    // As above.
    let _closed = writeln!(std::io::stderr().lock(), "{}", text.as_ref()).is_err();
}

/// Keeps the lines of a text, and nothing else that acts on a terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_deceptive(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether people look at standard error.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Makes what a guest, a tool or a repository wrote harmless for a terminal: control
/// characters are shown, not obeyed. Colours of a tool are left out with the rest.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => out.push_str("    "),
            // A colour of a tool: `ESC [ digits m`.
            '\u{1b}' if chars.peek() == Some(&'[') => {
                let rest: String = chars.clone().skip(1).take_while(|c| c.is_ascii_digit() || *c == ';').collect();
                if chars.clone().nth(1 + rest.len()) == Some('m') {
                    chars.nth(1 + rest.len());
                } else {
                    out.push('␛');
                }
            }
            '\u{1b}' => out.push('␛'),
            // Characters that turn the direction of text could make a line read otherwise.
            c if is_deceptive(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Sends the program's own log to standard error: a service's as lines with times, a
/// command's only when asked for.
pub(crate) fn start_logging(args: &Args) {
    let service = matches!(args.command, Command::Serve(_) | Command::Worker(_) | Command::Apps { .. });
    let default = match (service, args.verbose) {
        (true, 0) => "warn,slipway=info,slipway_control=info,slipway_worker=info,slipway_apps=info",
        (false, 0) => "error",
        (_, 1) => "info",
        (_, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("SLIPWAY_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    if service && args.json {
        builder.json().init();
    } else {
        builder.with_target(false).init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_act_on_a_terminal() {
        assert_eq!(plain("\u{1b}[1;32mok\u{1b}[0m done"), "ok done");
        assert_eq!(plain("a\tb"), "a    b");
        for hostile in ["\u{1b}]52;c;ZXZpbA==\u{7}", "\u{1b}[2J", "x\ry", "\u{202e}txt.exe", "\u{9b}31m"] {
            let shown = plain(hostile);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(!shown.contains('\u{202e}'));
        }
    }

    #[test]
    fn json_says_the_same_and_acts_on_nothing() {
        let value = serde_json::json!({ "a\u{202e}": "\u{1b}[2J \u{9b}31m \u{7f} \u{e0041} ä 中" });
        let text = escaped(&value.to_string());
        assert!(!text.chars().any(is_deceptive), "{text:?}");
        assert!(text.contains("\\u009b") && text.contains("\\u202e") && text.contains("ä 中"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn what_is_overlooked_is_caught_when_it_is_printed() {
        assert_eq!(harmless("a\nb \u{1b}[2J\u{202e}"), "a\nb \u{fffd}[2J\u{fffd}");
    }
}
