//! Secrets are masked in all that is stored and shown of a run.

use super::encodings::{forms, likely_forms};
use aho_corasick::AhoCorasick;
use slipway_domain::text::is_deceptive;
use std::collections::BTreeSet;
use std::ops::Range;

/// What stands in the place of a secret.
pub const MASK: &str = "[masked]";
/// The shortest text that is masked, in bytes: shorter ones stand in logs by chance.
pub const BYTES_MIN: usize = 8;

/// The longest text that is searched for as one, in bytes.
const WHOLE_BYTES_MAX: usize = 256;
/// The pieces of longer ones, in bytes.
const PIECE_BYTES: usize = 64;
/// The largest value of which every form is searched for, in bytes.
const ALL_FORMS_BYTES_MAX: usize = 4 << 10;
/// How many texts of earlier values are searched for on.
const BEFORE_MAX: usize = 200_000;

/// Finds secrets in texts. Cheap where there are none to look for.
#[derive(Default)]
pub struct Masker {
    search: Option<AhoCorasick>,
    longest: usize,
    patterns: BTreeSet<Vec<u8>>,
}

impl Masker {
    /// Masks these values: each as a whole, each of its lines, and each text in it where it is JSON, in
    /// all the forms that are told apart (see `encodings.rs`).
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::with_before(None, values)
    }

    /// As [`Self::new`], and all that another one masks too.
    pub fn with_before<'a>(before: Option<&Self>, values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let before = before.filter(|before| before.patterns.len() <= BEFORE_MAX);
        let mut patterns = before.map(|before| before.patterns.clone()).unwrap_or_default();
        for value in values {
            for part in parts(value) {
                // A long one is found by its pieces, and a very long one in the likely forms alone: what
                // is searched for is all in memory.
                let pieces = if part.len() <= WHOLE_BYTES_MAX { part.len() } else { PIECE_BYTES };
                for piece in part.chunks(pieces) {
                    let found = if value.len() <= ALL_FORMS_BYTES_MAX { forms(piece) } else { likely_forms(piece) };
                    patterns.extend(found.into_iter().filter(|form| form.len() >= BYTES_MIN));
                }
            }
        }
        let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
        // Too many for the search there cannot be: values are bounded, and so are their forms.
        let search = (!patterns.is_empty()).then(|| AhoCorasick::new(&patterns).ok()).flatten();
        Self { search, longest, patterns }
    }

    /// Whether there is nothing to look for.
    pub const fn is_empty(&self) -> bool {
        self.search.is_none()
    }

    /// Masks what is secret in a text.
    pub fn text(&self, text: &mut String) {
        let Some(search) = &self.search else { return };
        let found = if text.contains(is_between) {
            let (bare, places) = bare(text);
            let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
            // To the end of the last character, and not to the next one, which may stand behind others.
            let whole = |found: Range<usize>| {
                let last =
                    text.get(place(found.end - 1)..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
                place(found.start)..place(found.end - 1) + last
            };
            let mut all = ranges(search, text.as_bytes());
            all.extend(ranges(search, bare.as_bytes()).into_iter().map(whole));
            merged(all)
        } else {
            ranges(search, text.as_bytes())
        };
        if found.is_empty() {
            return;
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for Range { start, end } in found {
            // A form of bytes may begin or end within a character.
            let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
            masked.push_str(text.get(from..start.max(from)).unwrap_or_default());
            masked.push_str(MASK);
            from = end.max(from);
        }
        masked.push_str(text.get(from..).unwrap_or_default());
        *text = masked;
    }

    /// Masks what is secret in a text that was cut off: what stands at its end may be the beginning of
    /// a secret.
    pub fn cut_text(&self, text: &mut String, kept: usize) {
        if self.search.is_some() && kept <= text.len() {
            let safe = text.floor_char_boundary(kept.saturating_sub(self.longest));
            text.replace_range(safe..text.floor_char_boundary(kept), MASK);
        }
        self.text(text);
    }

    /// Masks what is secret in bytes.
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(search) = &self.search else { return bytes };
        let found = ranges(search, &bytes);
        if found.is_empty() {
            return bytes;
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for Range { start, end } in found {
            masked.extend(bytes.get(from..start).unwrap_or_default());
            masked.extend(MASK.as_bytes());
            from = end;
        }
        masked.extend(bytes.get(from..).unwrap_or_default());
        masked
    }
}

/// The parts of a value that are masked by themselves.
fn parts(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut parts = BTreeSet::from([value.to_vec()]);
    let lines = value.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    parts.extend(lines.map(<[u8]>::to_vec));
    parts.insert(value.trim_ascii().to_vec());
    if let Ok(document) = serde_json::from_slice::<serde_json::Value>(value) {
        leaves(&document, &mut parts);
    }
    parts.retain(|part| part.len() >= BYTES_MIN);
    parts
}

fn leaves(value: &serde_json::Value, found: &mut BTreeSet<Vec<u8>>) {
    match value {
        serde_json::Value::String(text) => {
            found.extend(text.split('\n').map(|line| line.as_bytes().to_vec()));
            found.insert(text.clone().into_bytes());
        }
        serde_json::Value::Number(number) => {
            found.insert(number.to_string().into_bytes());
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| leaves(value, found)),
        serde_json::Value::Object(object) => object.values().for_each(|value| leaves(value, found)),
        serde_json::Value::Null | serde_json::Value::Bool(_) => {}
    }
}

/// Where something is found: ranges that do not touch each other, in order.
fn ranges(search: &AhoCorasick, bytes: &[u8]) -> Vec<Range<usize>> {
    if !search.is_match(bytes) {
        return Vec::new();
    }
    merged(search.find_overlapping_iter(bytes).map(|found| found.range()).collect())
}

fn merged(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut all: Vec<Range<usize>> = Vec::new();
    for range in found {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None => all.push(range),
        }
    }
    all
}

/// Whether a character may stand between others unseen.
fn is_between(c: char) -> bool {
    (is_deceptive(c) && c != '\n' && c != '\t') || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}

/// A text without what stands unseen in it, escape sequences among it, and the place of each byte.
fn bare(text: &str) -> (String, Vec<usize>) {
    let mut bare = String::with_capacity(text.len());
    let mut places = Vec::with_capacity(text.len());
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        // A control sequence (ECMA-48 §5.4): parameters, and one byte that ends it.
        if c == '\u{9b}' || (c == '\u{1b}' && characters.next_if(|(_, next)| *next == '[').is_some()) {
            while characters.next_if(|(_, next)| matches!(next, '\u{20}'..='\u{3f}')).is_some() {}
            characters.next_if(|(_, next)| matches!(next, '\u{40}'..='\u{7e}'));
        } else if !is_between(c) {
            bare.push(c);
            places.extend((0..c.len_utf8()).map(|offset| at + offset));
        }
    }
    (bare, places)
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
