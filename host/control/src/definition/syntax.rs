//! A pipeline file that is not TOML: all that is wrong with it, not only the first.

use super::source::{Diagnostic, Source};
use std::ops::Range;
use toml::de::DeValue;

/// How many mistakes are shown of a text that is not TOML.
const SYNTAX_MAX: usize = 16;

/// What is wrong with a text that is not TOML. The parser that keeps places stops at the
/// first mistake, so another one is asked for all of them.
pub(super) fn syntax(source: &Source, first: &toml_edit::TomlError) -> Vec<Diagnostic> {
    let (table, errors) = toml::de::DeTable::parse_recoverable(source.text());
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut told: Vec<(&str, Option<Range<usize>>)> =
        errors.iter().map(|error| (error.message(), error.span())).collect();
    // A number that is too large is found only when it is read.
    table.get_ref().values().for_each(|value| too_large(value, &mut told));
    told.push((first.message(), first.span()));
    told.sort_by_key(|(_, span)| span.as_ref().map_or(usize::MAX, |span| span.start));
    for (message, span) in told {
        let is_deep = message.contains("recurs");
        let Some(span) = span.or_else(|| is_deep.then(|| deepest(source.text()))) else { continue };
        let message = if is_deep {
            "this is nested too deep".to_owned()
        } else {
            format!("this is not TOML: {}", message.lines().next().unwrap_or_default())
        };
        let diagnostic = source.diagnostic("syntax", message, None, span, Vec::new());
        // What follows from a mistake is often found again in the same line.
        if found.iter().all(|before| before.line != diagnostic.line) && found.len() < SYNTAX_MAX {
            found.push(diagnostic);
        }
    }
    if found.is_empty() {
        let message = format!("this is not TOML: {}", first.message().lines().next().unwrap_or_default());
        found.push(source.diagnostic("syntax", message, None, 0..0, Vec::new()));
    }
    found
}

/// Adds the numbers that no 64 bits hold.
fn too_large(value: &toml::Spanned<DeValue<'_>>, found: &mut Vec<(&str, Option<Range<usize>>)>) {
    match value.get_ref() {
        DeValue::Integer(number) if i64::from_str_radix(number.as_str(), number.radix()).is_err() => {
            found.push(("this number is too large", Some(value.span())));
        }
        DeValue::Array(values) => values.iter().for_each(|value| too_large(value, found)),
        DeValue::Table(table) => table.values().for_each(|value| too_large(value, found)),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// Where brackets are nested deepest, or the most keys follow each other with dots.
fn deepest(text: &str) -> Range<usize> {
    let (mut depth, mut most, mut at) = (0_usize, 0, 0);
    let (mut dots, mut most_dots, mut dotted) = (0_usize, 0, 0);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' => dots += 1,
            b'\n' | b'=' | b'"' => dots = 0,
            _ => {}
        }
        if depth > most {
            (most, at) = (depth, index);
        }
        if dots > most_dots {
            (most_dots, dotted) = (dots, index);
        }
    }
    let at = if most_dots > most { dotted } else { at };
    at..at + 1
}
