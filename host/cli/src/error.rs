//! Errors as the command line tells them: once, with their causes and the way out.

use crate::client::Problem;
use crate::{exit, output};
use serde_json::{Value, json};
use std::process::ExitCode;

/// An error in the words of the command line. Where another caused it, it is that one's
/// context.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Told {
    exit: u8,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

impl Told {
    /// The caller used the command in a wrong way.
    pub(crate) fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: exit::USAGE, code, message: message.into(), hint: None }
    }

    /// The answer is no.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: exit::FAILED, ..Self::usage(code, message) }
    }

    /// The platform could not do its part.
    pub(crate) fn errored(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: exit::ERRORED, ..Self::usage(code, message) }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Makes it the context of what caused it.
    pub(crate) fn because<E: std::error::Error + Send + Sync + 'static>(self, cause: E) -> anyhow::Error {
        anyhow::Error::new(cause).context(self)
    }
}

/// An error, taken apart for printing.
struct Shown {
    exit: u8,
    code: String,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Shown {
    fn of(error: &anyhow::Error) -> Self {
        let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        // An error whose message repeats its cause stands in the chain twice.
        causes.dedup();
        let message = if causes.is_empty() { String::new() } else { causes.remove(0) };
        let (exit, code, hint) = if let Some(told) = error.downcast_ref::<Told>() {
            (told.exit, told.code.to_owned(), told.hint.clone())
        } else if let Some(problem) = error.downcast_ref::<Problem>() {
            (exit::of_status(problem.status()), problem.code().to_owned(), problem.hint.clone())
        } else {
            (exit::ERRORED, "internal".to_owned(), None)
        };
        Self { exit, code, message, causes, hint }
    }

    fn text(&self) -> String {
        let mut text = format!("error: {}", plain_lines(&self.message));
        for cause in &self.causes {
            text.push_str(&format!("\n  because: {}", plain_lines(cause)));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\nhint: {}", output::plain(hint)));
        }
        text
    }

    fn json(&self, diagnostics: Option<&Value>) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(object) = error.as_object_mut() {
            if !self.causes.is_empty() {
                object.insert("causes".into(), self.causes.clone().into());
            }
            if let Some(hint) = &self.hint {
                object.insert("hint".into(), hint.clone().into());
            }
            if let Some(diagnostics) = diagnostics {
                object.insert("diagnostics".into(), diagnostics.clone());
            }
        }
        json!({ "error": error })
    }
}

/// A message of several lines, each made harmless.
fn plain_lines(text: &str) -> String {
    text.lines().map(output::plain).collect::<Vec<_>>().join("\n")
}

/// Prints an error, once: for people on standard error, for programs on standard output,
/// where they look for the answer.
pub(crate) fn report(error: &anyhow::Error, as_json: bool) -> ExitCode {
    let shown = Shown::of(error);
    if as_json {
        let diagnostics = error.downcast_ref::<Problem>().and_then(|problem| problem.body.get("diagnostics"));
        output::json(&shown.json(diagnostics));
    } else {
        output::note(shown.text());
    }
    ExitCode::from(shown.exit)
}

/// Prints what clap says of a command line: help and versions as they are, mistakes like
/// every other error.
pub(crate) fn report_usage(error: &clap::Error, as_json: bool) -> ExitCode {
    if !as_json || !error.use_stderr() {
        // A terminal that has gone away is no error.
        let _closed = error.print().is_err();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
    }
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message).split_whitespace().collect::<Vec<_>>().join(" ");
    let told = Told::usage("usage", message).hint("`--help` after the command tells how it is used");
    report(&told.into(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_and_the_way_out() {
        let error =
            Told::usage("unreadable", "cannot read `x`").hint("name another").because(std::io::Error::other("no"));
        let shown = Shown::of(&error);
        assert_eq!(shown.exit, exit::USAGE);
        assert_eq!(shown.text(), "error: cannot read `x`\n  because: no\nhint: name another");
        let json = json!({"error": {"code": "unreadable", "message": "cannot read `x`", "causes": ["no"], "hint": "name another"}});
        assert_eq!(shown.json(None), json);
    }

    #[test]
    fn nothing_in_an_error_acts_on_the_terminal() {
        let error = Told::refused("x", "a\u{1b}[2Jb\nsecond \u{202e}line").hint("c\u{9b}d\ne");
        let text = Shown::of(&error.into()).text();
        assert!(!text.chars().any(|c| c != '\n' && slipway_domain::text::is_deceptive(c)), "{text:?}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn the_exit_code_tells_whose_turn_it_is() {
        let code = |error: anyhow::Error| Shown::of(&error).exit;
        let problem = |status: u16| Problem::new(json!({ "status": status, "code": "x" }), None);
        assert_eq!(code(problem(404).into()), exit::FAILED);
        assert_eq!(code(problem(409).into()), exit::FAILED);
        assert_eq!(code(problem(503).into()), exit::ERRORED);
        assert_eq!(code(Told::refused("x", "x").into()), exit::FAILED);
        assert_eq!(code(anyhow::anyhow!("x")), exit::ERRORED);
    }
}
