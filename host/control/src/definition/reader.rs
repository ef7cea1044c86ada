//! Reads values of a TOML table, and says of each that is wrong what and where.

use super::source::{Diagnostic, Source};
use super::syntax::syntax;
use slipway_domain::check::{Place, Problem, list, nearest};
use slipway_domain::name::InvalidName;
use toml_edit::{Document, Item, TableLike, Value};

/// How deep `with` may be nested.
const DEPTH_MAX: usize = 32;

/// Reads a document whole. There is a result only when nothing in it is wrong.
pub(super) fn read_document<T>(
    text: &str,
    read: impl FnOnce(&mut Reader<'_>, &At<'_>) -> Option<T>,
) -> (Source, Result<T, Vec<Diagnostic>>) {
    let mut source = Source::new(text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let found = syntax(&source, &error);
            return (source, Err(found));
        }
    };
    let mut reader = Reader { source: &mut source, problems: Vec::new() };
    let read = read(&mut reader, &At { table: document.as_table(), place: Vec::new() });
    let problems = reader.problems;
    let result = match read {
        Some(read) if problems.is_empty() => Ok(read),
        Some(_) | None => Err(source.locate_all(&problems)),
    };
    (source, result)
}

/// Reads values, and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) source: &'a mut Source,
    pub(super) problems: Vec<Problem>,
}

/// A table with its place, so that what is wrong in it can be pointed at.
pub(super) struct At<'t> {
    pub(super) table: &'t dyn TableLike,
    pub(super) place: Vec<String>,
}

impl At<'_> {
    pub(super) fn key(&self, key: &str) -> Vec<String> {
        let mut place = self.place.clone();
        place.push(key.to_owned());
        place
    }
}

impl Reader<'_> {
    /// Reports keys that nothing reads, and remembers where all keys stand.
    pub(super) fn known(&mut self, at: &At<'_>, known: &[&str]) {
        for (key, item) in at.table.iter() {
            let place = at.key(key);
            let span = at.table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
            if known.contains(&key) {
                self.source.set(&place, item.span().filter(|_| item.is_value()).or(span));
                continue;
            }
            self.source.set(&place, span);
            let hint = nearest(key, known)
                .map_or_else(|| format!("the keys here are {}", list(known)), |near| format!("did you mean `{near}`?"));
            let message = format!("there is no key `{}`{}", key.escape_debug(), within(&at.place));
            self.problem("unknown-key", place, message, Some(&hint));
        }
    }

    pub(super) fn table<'t>(&mut self, at: &At<'t>, key: &str) -> Option<At<'t>> {
        let item = at.table.get(key)?;
        let place = at.key(key);
        let span = at.table.key(key).and_then(toml_edit::Key::span).or_else(|| item.span());
        self.source.set(&place, span);
        match item.as_table_like() {
            Some(table) => Some(At { table, place }),
            None => {
                self.wrong_type(place, key, "a table", item);
                None
            }
        }
    }

    pub(super) fn required(&mut self, at: &At<'_>, key: &str, example: &str) -> Option<String> {
        if at.table.get(key).is_none() {
            let message = format!("`{key}` is missing{}", within(&at.place));
            self.problem("missing-key", at.place.clone(), message, Some(&format!("add `{example}`")));
            return None;
        }
        self.string(at, key)
    }

    pub(super) fn string(&mut self, at: &At<'_>, key: &str) -> Option<String> {
        let item = at.table.get(key)?;
        let text = item.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(at.key(key), key, "a string", item);
        }
        text
    }

    pub(super) fn boolean(&mut self, at: &At<'_>, key: &str) -> Option<bool> {
        let item = at.table.get(key)?;
        let value = item.as_bool();
        if value.is_none() {
            self.wrong_type(at.key(key), key, "`true` or `false`", item);
        }
        value
    }

    pub(super) fn integer(&mut self, at: &At<'_>, key: &str) -> Option<i64> {
        let item = at.table.get(key)?;
        let value = item.as_integer();
        if value.is_none() {
            self.wrong_type(at.key(key), key, "a whole number", item);
        }
        value
    }

    pub(super) fn strings(&mut self, at: &At<'_>, key: &str) -> Vec<String> {
        let Some(item) = at.table.get(key) else { return Vec::new() };
        let Some(array) = item.as_array() else {
            self.wrong_type(at.key(key), key, "a list of strings", item);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (index, value) in array.iter().enumerate() {
            let mut place = at.key(key);
            place.push(index.to_string());
            self.source.set(&place, value.span());
            match value.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.problem("wrong-type", place, format!("`{key}` holds strings only"), None),
            }
        }
        texts
    }

    pub(super) fn name<T>(
        &mut self,
        at: &At<'_>,
        key: &str,
        text: String,
        new: impl FnOnce(String) -> Result<T, InvalidName>,
    ) -> Option<T> {
        new(text).map_err(|error| self.problem("invalid-name", at.key(key), error.to_string(), None)).ok()
    }

    pub(super) fn json(&mut self, item: &Item, place: Vec<String>, depth: usize) -> serde_json::Value {
        self.source.set(&place, item.span());
        if depth > DEPTH_MAX {
            self.problem("too-deep", place, format!("`with` is nested deeper than {DEPTH_MAX}"), None);
            return serde_json::Value::Null;
        }
        if let Some(table) = item.as_table_like() {
            let entries = table.iter().map(|(key, item)| {
                let mut place = place.clone();
                place.push(key.to_owned());
                (key.to_owned(), self.json(item, place, depth + 1))
            });
            return serde_json::Value::Object(entries.collect());
        }
        match item {
            Item::Value(Value::Array(array)) => {
                let values = array.iter().enumerate().map(|(index, value)| {
                    let mut place = place.clone();
                    place.push(index.to_string());
                    self.json(&Item::Value(value.clone()), place, depth + 1)
                });
                serde_json::Value::Array(values.collect())
            }
            Item::Value(Value::String(text)) => serde_json::Value::String(text.value().clone()),
            Item::Value(Value::Integer(number)) => (*number.value()).into(),
            Item::Value(Value::Float(number)) => (*number.value()).into(),
            Item::Value(Value::Boolean(value)) => (*value.value()).into(),
            Item::Value(Value::Datetime(time)) => time.value().to_string().into(),
            Item::ArrayOfTables(tables) => {
                let values = tables.iter().enumerate().map(|(index, table)| {
                    let mut place = place.clone();
                    place.push(index.to_string());
                    self.json(&Item::Table(table.clone()), place, depth + 1)
                });
                serde_json::Value::Array(values.collect())
            }
            Item::Value(Value::InlineTable(_)) | Item::Table(_) | Item::None => serde_json::Value::Null,
        }
    }

    pub(super) fn wrong_type(&mut self, place: Vec<String>, key: &str, wanted: &str, item: &Item) {
        self.source.set(&place, item.span());
        let message = format!("`{key}` has to be {wanted}, and is {}", article(item.type_name()));
        let hint = item.as_str().filter(|_| wanted.starts_with("a list")).map(|text| {
            let key = key.rsplit('.').next().unwrap_or(key);
            format!("write `{key} = [\"{}\"]`", text.escape_debug())
        });
        self.problem("wrong-type", place, message, hint.as_deref());
    }

    pub(super) fn problem(&mut self, code: &'static str, place: Vec<String>, message: String, hint: Option<&str>) {
        self.problems.push(Problem { code, place: Place(place), message, hint: hint.map(str::to_owned) });
    }
}

fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}

fn within(place: &[String]) -> String {
    if place.is_empty() { String::new() } else { format!(" in `{}`", place.join(".")) }
}
