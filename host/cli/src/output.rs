//! All that is printed.

use crate::args::{Args, Command};
use crate::client::Problem;
use crate::exit;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Prints a line on standard output. A reader that has gone away is no error.
pub(crate) fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // `slipway runs | head` closes the pipe; there is nobody left to tell.
    let _closed = writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).is_err();
}

/// Prints a value as JSON, on one line.
pub(crate) fn json(value: &serde_json::Value) {
    line(value.to_string());
}

/// Prints a line on standard error, for people.
pub(crate) fn note(text: impl AsRef<str>) {
    // As above.
    let _closed = writeln!(std::io::stderr().lock(), "{}", text.as_ref()).is_err();
}

/// Whether people look at standard error.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// An error whose message comes with what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Hinted {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Prints an error with its causes, once, and what to do about it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    // An error that was given a hint stands in the chain twice.
    causes.dedup();
    let mut text = format!("error: {}\n", causes.first().map_or("", String::as_str));
    for cause in causes.iter().skip(1) {
        text.push_str(&format!("  because: {cause}\n"));
    }
    let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.as_str());
    if let Some(hint) = hint.or_else(|| error.downcast_ref::<Problem>()?.hint.as_deref()) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    note(text.trim_end());
    ExitCode::from(exit::ERRORED)
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
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
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
}
