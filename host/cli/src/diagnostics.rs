//! Mistakes in a pipeline file, shown with the lines they are about.

use crate::client::{Problem, text};
use crate::{exit, output};
use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity,
    SourceCode, SourceSpan, SpanContents,
};
use serde_json::{Value, json};
use slipway_control::definition::FILE;
use slipway_domain::text::is_deceptive;
use std::fmt;
use std::ops::Range;
use std::process::ExitCode;

/// The longest line that is shown around a mistake, in bytes.
const LINE_BYTES_MAX: usize = 400;

/// One mistake.
pub(crate) struct Mistake {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) span: Range<usize>,
}

impl From<slipway_control::definition::Diagnostic> for Mistake {
    fn from(diagnostic: slipway_control::definition::Diagnostic) -> Self {
        let slipway_control::definition::Diagnostic { code, message, hint, line, column, span, place: _ } = diagnostic;
        Self { code, message, hint, line, column, span }
    }
}

impl Mistake {
    /// One that the server has told.
    pub(crate) fn from_json(value: &Value) -> Self {
        let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0);
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let end =
            |index: usize| usize::try_from(number(value.get("span").and_then(|span| span.get(index)))).unwrap_or(0);
        Self {
            code: text("code"),
            message: text("message"),
            hint: value.get("hint").and_then(Value::as_str).map(str::to_owned),
            line: u32::try_from(number(value.get("line"))).unwrap_or(0),
            column: u32::try_from(number(value.get("column"))).unwrap_or(0),
            span: end(0)..end(1),
        }
    }

    fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "hint": self.hint, "line": self.line, "column": self.column })
    }
}

/// Shows mistakes: for programs as JSON, for people with the lines.
pub(crate) fn show(file: &str, text: &str, mistakes: &[Mistake], as_json: bool) {
    if as_json {
        let mistakes: Vec<Value> = mistakes.iter().map(Mistake::to_json).collect();
        return output::json(&json!({ "file": file, "ok": mistakes.is_empty(), "diagnostics": mistakes }));
    }
    let theme = if output::is_terminal() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
    let (file, text) = (output::plain(file), same_places(text));
    for mistake in mistakes {
        let mistake = Mistake {
            code: output::plain(&mistake.code),
            message: output::plain(&mistake.message),
            hint: mistake.hint.as_deref().map(output::plain),
            span: mistake.span.clone(),
            ..*mistake
        };
        let line = line_at(&text, mistake.span.start);
        if line.len() > LINE_BYTES_MAX {
            output::note(format!(
                "{}: {} (line {}, column {}, of {} bytes)",
                mistake.code,
                mistake.message,
                mistake.line,
                mistake.column,
                line.len()
            ));
            mistake.hint.iter().for_each(|hint| output::note(format!("  help: {hint}")));
            output::note("");
            continue;
        }
        // The report adds line and column to the name.
        let shown = Shown { mistake: &mistake, source: Text { name: &file, text: &text } };
        let mut out = String::new();
        // Writing to a string does not fail.
        let _never = handler.render_report(&mut out, &shown).is_err();
        output::note_exact(out.trim_end());
        output::note("");
    }
    let count = if mistakes.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", mistakes.len()) };
    output::note(format!("{count} in `{file}`"));
}

/// The line in which a byte stands.
fn line_at(text: &str, at: usize) -> &str {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let end = after.find('\n').map_or(text.len(), |end| before.len() + end);
    text.get(start..end).unwrap_or_default()
}

/// Shows the mistakes in a pipeline file that a server has told of, and returns the exit code
/// for them. Any other error is given back, and so are all for programs: they find the
/// mistakes in the error.
pub(crate) fn show_problem(error: anyhow::Error, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        return Err(error);
    }
    let Some(problem) = error.downcast_ref::<Problem>() else { return Err(error) };
    let found = problem.body.get("diagnostics").and_then(Value::as_array);
    let found: Vec<Mistake> = found.into_iter().flatten().map(Mistake::from_json).collect();
    if found.is_empty() {
        return Err(error);
    }
    show(FILE, text(&problem.body, "file"), &found, false);
    Ok(ExitCode::from(exit::FAILED))
}

/// The text made harmless for a terminal, with as many characters and bytes, so that every
/// place in it stays where it is.
fn same_places(text: &str) -> String {
    let harmless = |c: char| match c {
        '\n' | '\t' => c,
        // The end of a line as some editors write it; alone it would overwrite the line.
        '\r' => ' ',
        c if !is_deceptive(c) => c,
        c if c.len_utf8() == 1 => '?',
        c if c.len_utf8() == 2 => '¿',
        c if c.len_utf8() == 3 => char::REPLACEMENT_CHARACTER,
        _ => '\u{1f6ab}',
    };
    text.chars().map(harmless).collect()
}

struct Shown<'a> {
    mistake: &'a Mistake,
    source: Text<'a>,
}

/// A file's text. Its columns are characters, as everywhere else; those of the library
/// would be bytes.
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, context_lines_before, context_lines_after)?;
        let from = found.span().offset();
        let bytes = from.checked_sub(found.column()).and_then(|line| self.text.get(line..from));
        let column = bytes.map_or(found.column(), |before| before.chars().count());
        let name = self.name.to_owned();
        let (line, lines) = (found.line(), found.line_count());
        Ok(Box::new(MietteSpanContents::new_named(name, found.data(), *found.span(), line, column, lines)))
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.mistake.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = &self.mistake.span;
        let label = LabeledSpan::underline(span.start..span.end.max(span.start + 1));
        Some(Box::new(std::iter::once(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_place_is_found() {
        let text = "a\nbcd\n\nä";
        for (at, line) in [(0, "a"), (1, "a"), (2, "bcd"), (5, "bcd"), (6, ""), (7, "ä"), (9, "ä"), (99, "ä")] {
            assert_eq!(line_at(text, at), line, "{at}");
        }
        assert_eq!(line_at("", 0), "");
    }

    #[test]
    fn a_harmless_text_has_every_place_where_it_was() {
        let hostile = "name = \"\u{1b}[2J\" # \u{9b}31m \u{202e} \u{e0041} ä\r\n[x]\n";
        let shown = same_places(hostile);
        assert!(!shown.chars().any(|c| c != '\n' && is_deceptive(c)), "{shown:?}");
        let places = |text: &str| text.char_indices().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(places(&shown), places(hostile));
        assert_eq!(same_places("a = \"ä\"\n\tb"), "a = \"ä\"\n\tb");
    }
}
