//! The text of a pipeline file, and where in it something stands.

use slipway_domain::check::{Place, Problem};
use std::collections::BTreeMap;
use std::ops::Range;

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

    /// Gives a problem its line and column.
    pub fn locate(&self, problem: &Problem) -> Diagnostic {
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
            message,
            hint,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            span,
            place,
        }
    }
}
