//! The text of a pipeline file, and where in it something stands.

use slipway_domain::check::{Place, Problem};
use slipway_domain::text::cut;
use std::collections::BTreeMap;
use std::ops::Range;

/// How many mistakes of a file are told.
const DIAGNOSTICS_MAX: usize = 100;
/// The longest text of a message or a hint, in bytes.
const MESSAGE_BYTES_MAX: usize = 600;

/// The text, with the place of each key and value in it.
#[derive(Debug, Clone, Default)]
pub struct Source {
    text: String,
    spans: BTreeMap<Vec<String>, Range<usize>>,
}

/// Something that is wrong, as people and programs are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable word for programs.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// The line, from 1.
    pub line: u32,
    /// The column, in characters from 1.
    pub column: u32,
    /// The text that it is about, as bytes of the file.
    pub span: Range<usize>,
    /// The keys that lead there.
    pub place: Vec<String>,
}

/// A file that is not text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotText {
    /// The file with a mark in place of each byte that is none, to show what stands around.
    pub text: String,
    /// Which byte it is, and where.
    pub diagnostic: Diagnostic,
}

/// Reads a pipeline file as text. What is not UTF-8 is refused with its place, rather than
/// changed into something that nobody wrote.
pub fn decode(bytes: &[u8]) -> Result<String, Box<NotText>> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(error) => error,
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let at = error.valid_up_to();
    let byte = bytes.get(at).copied().unwrap_or_default();
    let diagnostic = Source::new(&text).diagnostic(
        "not-utf-8",
        format!("byte {} of the file, {byte:#04x}, is not UTF-8", at + 1),
        Some("save the file as UTF-8".into()),
        at..at + char::REPLACEMENT_CHARACTER.len_utf8(),
        Vec::new(),
    );
    Err(Box::new(NotText { text, diagnostic }))
}

impl Source {
    /// A text of which no places are known yet.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), spans: BTreeMap::new() }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Remembers where something stands.
    pub(super) fn set(&mut self, place: &[String], span: Option<Range<usize>>) {
        if let Some(span) = span {
            self.spans.insert(place.to_vec(), span);
        }
    }

    /// Where a place stands: itself, or the nearest thing around it that is in the text.
    pub fn span(&self, place: &[String]) -> Range<usize> {
        (0..=place.len()).rev().find_map(|length| self.spans.get(place.get(..length)?)).cloned().unwrap_or(0..0)
    }

    /// Gives problems their lines and columns, in the order of the text. Of very many the first
    /// are told, and how many more there are.
    pub fn locate_all(&self, problems: &[Problem]) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = problems.iter().map(|problem| self.locate(problem)).collect();
        found.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        if found.len() > DIAGNOSTICS_MAX {
            let next = found.get(DIAGNOSTICS_MAX).map_or(0..0, |next| next.span.clone());
            let more = found.len() - DIAGNOSTICS_MAX;
            found.truncate(DIAGNOSTICS_MAX);
            let hint = Some("mend those above first; many of the others may have the same cause".to_owned());
            found.push(self.diagnostic(
                "too-many-mistakes",
                format!("from here on there are {more} more mistakes"),
                hint,
                next,
                Vec::new(),
            ));
        }
        found
    }

    /// Gives a problem its line and column.
    fn locate(&self, problem: &Problem) -> Diagnostic {
        let Problem { code, place: Place(place), message, hint } = problem;
        self.diagnostic(code, message.clone(), hint.clone(), self.span(place), place.clone())
    }

    /// A diagnostic at a span.
    pub(super) fn diagnostic(
        &self,
        code: &str,
        message: String,
        hint: Option<String>,
        span: Range<usize>,
        place: Vec<String>,
    ) -> Diagnostic {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Diagnostic {
            code: code.to_owned(),
            // They repeat words of the file, which may be as long as that.
            message: cut(message, MESSAGE_BYTES_MAX),
            hint: hint.map(|hint| cut(hint, MESSAGE_BYTES_MAX)),
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            span,
            place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_is() {
        assert_eq!(decode("name = \"ä\"".as_bytes()).unwrap(), "name = \"ä\"");
    }

    #[test]
    fn a_byte_that_is_no_text_is_named_with_its_place() {
        let wrong = decode(b"name = \"a\"\n# \xc3\xa4 \xff \xfe\n").unwrap_err();
        let found = &wrong.diagnostic;
        assert_eq!((found.code.as_str(), found.line, found.column), ("not-utf-8", 2, 5));
        assert_eq!(found.message, "byte 17 of the file, 0xff, is not UTF-8");
        assert_eq!(wrong.text.get(found.span.clone()), Some("\u{fffd}"));
    }
}
