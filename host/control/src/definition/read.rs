//! Reads TOML into a definition. Reports every unknown key and wrong value in one pass.

use super::reader::{At, Reader, read_document};
use super::source::{Diagnostic, Source};
use slipway_domain::definition::{
    Definition, Pattern, StageDefinition, TIMEOUT_DEFAULT, TIMEOUT_MAX, Triggers, Uses, When,
};
use slipway_domain::{PipelineName, StageName};
use std::time::Duration;

/// The least and the most memory of a stage, in MiB.
const MEMORY_MIB: std::ops::RangeInclusive<i64> = 16..=4096;

/// Reads a pipeline file.
pub fn read(text: &str) -> (Source, Result<Definition, Vec<Diagnostic>>) {
    read_document(text, |reader, at| reader.definition(at))
}

impl Reader<'_> {
    fn definition(&mut self, at: &At<'_>) -> Option<Definition> {
        self.known(at, &["name", "on", "stages"]);
        let name = self
            .required(at, "name", "name = \"shop\"")
            .and_then(|text| self.name(at, "name", text, PipelineName::new));
        let triggers = self.table(at, "on").map(|on| self.triggers(&on)).unwrap_or_default();
        let mut stages = Vec::new();
        if let Some(table) = self.table(at, "stages") {
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
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
