//! Reads TOML into a definition. Reports every unknown key and wrong value in one pass.

use super::source::{Diagnostic, Source};
use super::syntax::syntax;
use slipway_domain::check::{Place, Problem, list, nearest};
use slipway_domain::definition::{
    Definition, Pattern, StageDefinition, TIMEOUT_DEFAULT, TIMEOUT_MAX, Triggers, Uses, When,
};
use slipway_domain::grant::{Capability, Grants, Interface};
use slipway_domain::{PipelineName, StageName};
use std::time::Duration;
use toml_edit::{Document, Item, TableLike, Value};

/// How deep `with` may be nested.
const DEPTH_MAX: usize = 32;
/// The least and the most memory of a stage, in MiB.
const MEMORY_MIB: std::ops::RangeInclusive<i64> = 16..=4096;

/// Reads a pipeline file.
pub fn read(text: &str) -> (Source, Result<Definition, Vec<Diagnostic>>) {
    let mut source = Source::new(text);
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let found = syntax(&source, &error);
            return (source, Err(found));
        }
    };
    let mut reader = Reader { source: &mut source, problems: Vec::new() };
    let definition = reader.definition(document.as_table());
    let problems = reader.problems;
    let result = match definition {
        Some(definition) if problems.is_empty() => Ok(definition),
        Some(_) | None => Err(source.locate_all(&problems)),
    };
    (source, result)
}

struct Reader<'a> {
    source: &'a mut Source,
    problems: Vec<Problem>,
}

/// A table with its place, so that what is wrong in it can be pointed at.
struct At<'t> {
    table: &'t dyn TableLike,
    place: Vec<String>,
}

impl At<'_> {
    fn key(&self, key: &str) -> Vec<String> {
        let mut place = self.place.clone();
        place.push(key.to_owned());
        place
    }
}

impl Reader<'_> {
    fn definition(&mut self, table: &dyn TableLike) -> Option<Definition> {
        let at = At { table, place: Vec::new() };
        self.known(&at, &["name", "on", "stages"]);
        let name = self
            .required(&at, "name", "name = \"shop\"")
            .and_then(|text| self.name(&at, "name", text, PipelineName::new));
        let triggers = self.table(&at, "on").map(|on| self.triggers(&on)).unwrap_or_default();
        let mut stages = Vec::new();
        if let Some(table) = self.table(&at, "stages") {
            for (key, _) in table.table.iter() {
                if let Some(stage) = self.table(&table, key) {
                    stages.extend(self.stage(&table, key, &stage));
                }
            }
        }
        Some(Definition { name: name?, triggers, stages })
    }

    fn triggers(&mut self, at: &At<'_>) -> Triggers {
        self.known(at, &["push", "tag", "pull_request"]);
        let patterns = |texts: Vec<String>| texts.into_iter().map(Pattern::new).collect();
        Triggers {
            push: patterns(self.strings(at, "push")),
            tag: patterns(self.strings(at, "tag")),
            pull_request: self.boolean(at, "pull_request").unwrap_or(false),
        }
    }

    fn stage(&mut self, stages: &At<'_>, key: &str, at: &At<'_>) -> Option<StageDefinition> {
        self.known(at, &["uses", "with", "needs", "grant", "environment", "when", "timeout_seconds", "memory_mib"]);
        let name = self.name(stages, key, key.to_owned(), StageName::new);
        let uses = self.required(at, "uses", "uses = \"cargo@1\"").and_then(|text| match Uses::parse(&text) {
            Ok(uses) => Some(uses),
            Err(error) => {
                self.problem(
                    "invalid-uses",
                    at.key("uses"),
                    error.to_string(),
                    Some("write `cargo@1`, or `./path/to/plugin.wasm`"),
                );
                None
            }
        });
        let with = match at.table.get("with") {
            None => serde_json::Value::Object(serde_json::Map::new()),
            Some(item) => self.json(item, at.key("with"), 0),
        };
        if !with.is_object() {
            self.problem(
                "wrong-type",
                at.key("with"),
                "`with` has to be a table".into(),
                Some("write `with = { key = \"value\" }`"),
            );
        }
        let needs = self.strings(at, "needs");
        let needs: Vec<StageName> = needs
            .into_iter()
            .enumerate()
            .filter_map(|(index, need)| {
                let mut place = at.key("needs");
                place.push(index.to_string());
                StageName::new(need).map_err(|error| self.problem("invalid-name", place, error.to_string(), None)).ok()
            })
            .collect();
        let grants = self.table(at, "grant").map(|grant| self.grants(&grant)).unwrap_or_default();
        let when = self.table(at, "when").map(|when| self.when(&when)).unwrap_or_default();
        let timeout = self.seconds(at);
        let memory_bytes_max = self.memory(at);
        let environment = self.string(at, "environment");
        Some(StageDefinition {
            name: name?,
            uses: uses?,
            with: with.to_string(),
            needs,
            grants,
            environment,
            when,
            timeout,
            memory_bytes_max,
        })
    }

    /// `grant.tools = ["rust"]`, or `grant.tools = { rust = {} }` where a grant will have
    /// arguments.
    fn grants(&mut self, at: &At<'_>) -> Grants {
        let known: Vec<&str> =
            Interface::ALL.into_iter().filter(|interface| interface.needs_grant()).map(Interface::as_str).collect();
        self.known(at, &known);
        let mut grants = Grants::default();
        for interface in Interface::ALL.into_iter().filter(|interface| interface.needs_grant()) {
            let key = interface.as_str();
            let names: Vec<String> = match at.table.get(key) {
                None => continue,
                Some(item) if item.as_table_like().is_some() => match self.table(at, key) {
                    Some(table) => table.table.iter().map(|(name, _)| name.to_owned()).collect(),
                    None => continue,
                },
                Some(_) => self.strings(at, key),
            };
            for name in names {
                match Capability::new(interface, &name) {
                    Some(capability) => grants.insert(capability),
                    None => {
                        let message = format!("`{}` is not a name that `grant.{key}` can hold", name.escape_debug());
                        self.problem("invalid-name", at.key(key), message, Some("use a-z, 0-9 and `-`"));
                    }
                }
            }
        }
        grants
    }

    fn when(&mut self, at: &At<'_>) -> When {
        self.known(at, &["tag", "branch"]);
        When { tag: self.string(at, "tag").map(Pattern::new), branch: self.string(at, "branch").map(Pattern::new) }
    }

    fn seconds(&mut self, at: &At<'_>) -> Duration {
        let Some(seconds) = self.integer(at, "timeout_seconds") else { return TIMEOUT_DEFAULT };
        match u64::try_from(seconds).map(Duration::from_secs) {
            Ok(timeout) if !timeout.is_zero() && timeout <= TIMEOUT_MAX => timeout,
            Ok(_) | Err(_) => {
                let message = format!("`timeout_seconds` has to be between 1 and {}", TIMEOUT_MAX.as_secs());
                self.problem("out-of-range", at.key("timeout_seconds"), message, None);
                TIMEOUT_DEFAULT
            }
        }
    }

    fn memory(&mut self, at: &At<'_>) -> Option<u64> {
        let mebibytes = self.integer(at, "memory_mib")?;
        if MEMORY_MIB.contains(&mebibytes) {
            return u64::try_from(mebibytes).ok().map(|mebibytes| mebibytes << 20);
        }
        let message = format!("`memory_mib` has to be between {} and {}", MEMORY_MIB.start(), MEMORY_MIB.end());
        self.problem("out-of-range", at.key("memory_mib"), message, None);
        None
    }

    // What follows reads one value and says what is wrong with it.

    /// Reports keys that nothing reads, and remembers where all keys stand.
    fn known(&mut self, at: &At<'_>, known: &[&str]) {
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

    fn table<'t>(&mut self, at: &At<'t>, key: &str) -> Option<At<'t>> {
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

    fn required(&mut self, at: &At<'_>, key: &str, example: &str) -> Option<String> {
        if at.table.get(key).is_none() {
            let message = format!("`{key}` is missing{}", within(&at.place));
            self.problem("missing-key", at.place.clone(), message, Some(&format!("add `{example}`")));
            return None;
        }
        self.string(at, key)
    }

    fn string(&mut self, at: &At<'_>, key: &str) -> Option<String> {
        let item = at.table.get(key)?;
        let text = item.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type(at.key(key), key, "a string", item);
        }
        text
    }

    fn boolean(&mut self, at: &At<'_>, key: &str) -> Option<bool> {
        let item = at.table.get(key)?;
        let value = item.as_bool();
        if value.is_none() {
            self.wrong_type(at.key(key), key, "`true` or `false`", item);
        }
        value
    }

    fn integer(&mut self, at: &At<'_>, key: &str) -> Option<i64> {
        let item = at.table.get(key)?;
        let value = item.as_integer();
        if value.is_none() {
            self.wrong_type(at.key(key), key, "a whole number", item);
        }
        value
    }

    fn strings(&mut self, at: &At<'_>, key: &str) -> Vec<String> {
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

    fn name<T>(
        &mut self,
        at: &At<'_>,
        key: &str,
        text: String,
        new: impl FnOnce(String) -> Result<T, slipway_domain::name::InvalidName>,
    ) -> Option<T> {
        new(text).map_err(|error| self.problem("invalid-name", at.key(key), error.to_string(), None)).ok()
    }

    fn json(&mut self, item: &Item, place: Vec<String>, depth: usize) -> serde_json::Value {
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

    fn wrong_type(&mut self, place: Vec<String>, key: &str, wanted: &str, item: &Item) {
        self.source.set(&place, item.span());
        let message = format!("`{key}` has to be {wanted}, and is {}", article(item.type_name()));
        let hint = item.as_str().filter(|_| wanted.starts_with("a list")).map(|text| {
            let key = key.rsplit('.').next().unwrap_or(key);
            format!("write `{key} = [\"{}\"]`", text.escape_debug())
        });
        self.problem("wrong-type", place, message, hint.as_deref());
    }

    fn problem(&mut self, code: &'static str, place: Vec<String>, message: String, hint: Option<&str>) {
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

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
