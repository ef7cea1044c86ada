//! What a plugin says about itself.
//!
//! Every component exports `describe`, which returns one JSON document. The host calls it
//! with every import refused, so it can only be what was compiled in. The exporting macros
//! make it of their fields and of the configuration's type:
//!
//! ```json
//! {
//!   "schema": 1,
//!   "name": "cargo",
//!   "version": "1.0.0",
//!   "kind": "build",
//!   "summary": "Builds a Rust package with cargo",
//!   "config_schema": { "type": "object", "properties": { } },
//!   "capabilities": [ { "interface": "tools", "names": ["rust"], "why": "runs cargo" } ]
//! }
//! ```
//!
//! The repository has its JSON Schema as `docs/schemas/describe.json`.
//!
//! - `schema` is the version of this document. A host refuses one it does not know.
//! - `name` and `version` are how a pipeline refers to the plugin: `uses = "cargo@1"`.
//! - `kind` is `build`, `test` or `deploy`, and has to agree with what the component exports.
//! - `config_schema` is a JSON Schema (draft 2020-12) that the `with` table is checked
//!   against before anything runs.
//! - `capabilities` are what the plugin asks for beyond what every stage of its kind has.
//!   An empty `names` means that the pipeline decides which ones.

use serde_json::{Value, json};

use crate::stage::Stage;

/// Which of the three worlds a component is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Makes something of a revision.
    Build,
    /// Judges a revision.
    Test,
    /// Changes what runs.
    Deploy,
}

impl Kind {
    /// Returns the word for it: `build`, `test` or `deploy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Deploy => "deploy",
        }
    }
}

/// Something a plugin asks to be granted, with the reason that people see when they
/// decide about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// The interface: `tools`, `secrets`, `http` or `apps`.
    pub interface: &'static str,
    /// Which ones of them. Empty: those that the pipeline names.
    pub names: &'static [&'static str],
    /// For tools: which hosts they may be granted to connect to, as `example.com`,
    /// `*.example.com:8443`, or `*:*` for those that the pipeline names.
    pub network: &'static [&'static str],
    /// For secrets: whether the stage wants to see their values.
    pub read: bool,
    /// What for, in a few words: "runs cargo".
    pub why: &'static str,
}

impl Capability {
    /// Asks for native tools by the names of their toolchain entries.
    #[must_use]
    pub const fn tools(names: &'static [&'static str], why: &'static str) -> Self {
        Self::new("tools", names, why)
    }

    /// Asks for a network for its tools, too.
    #[must_use]
    pub const fn network(self, hosts: &'static [&'static str]) -> Self {
        Self { network: hosts, ..self }
    }

    /// Asks for requests, such as `POST https://example.com/hooks/`.
    #[must_use]
    pub const fn http(requests: &'static [&'static str], why: &'static str) -> Self {
        Self::new("http", requests, why)
    }

    /// Asks to see the values of its secrets, too.
    #[must_use]
    pub const fn read(self) -> Self {
        Self { read: true, ..self }
    }

    const fn new(interface: &'static str, names: &'static [&'static str], why: &'static str) -> Self {
        Self { interface, names, network: &[], read: false, why }
    }

    /// Asks for secrets by name.
    #[must_use]
    pub const fn secrets(names: &'static [&'static str], why: &'static str) -> Self {
        Self::new("secrets", names, why)
    }

    /// Asks for apps of the app host by name.
    #[must_use]
    pub const fn apps(names: &'static [&'static str], why: &'static str) -> Self {
        Self::new("apps", names, why)
    }
}

/// What the exporting macros know of a plugin, all but its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The plugin's name, as a pipeline's `uses` says it before the `@`.
    pub name: &'static str,
    /// Its version, by semantic versioning.
    pub version: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// One line about what it does.
    pub summary: &'static str,
    /// What it asks for.
    pub capabilities: &'static [Capability],
}

/// Returns the document for a stage of one function.
#[must_use]
pub fn document<M, S: Stage<M>>(description: &Description, _stage: &S) -> String {
    let schema = schemars::SchemaGenerator::default().into_root_schema_for::<S::Config>();
    text(description, schema.as_value())
}

/// Returns the document for a stage of three functions, which must agree on their
/// configuration.
#[must_use]
pub fn document_of_three<M, P, A, R>(description: &Description, plan: &P, _apply: &A, _rollback: &R) -> String
where
    P: Stage<M>,
    A: Stage<M>,
    R: Stage<M>,
{
    document(description, plan)
}

/// Puts the document together. Not generic, so that it is compiled once.
fn text(description: &Description, config_schema: &Value) -> String {
    let capabilities: Vec<Value> = description
        .capabilities
        .iter()
        .map(|asked| {
            let fields = [
                ("interface", json!(asked.interface)),
                ("names", json!(asked.names)),
                ("network", json!(asked.network)),
                ("read", json!(asked.read)),
                ("why", json!(asked.why)),
            ];
            Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
        })
        .collect();
    json!({
        "schema": 1,
        "name": description.name,
        "version": description.version,
        "kind": description.kind.as_str(),
        "summary": description.summary,
        "config_schema": config_schema,
        "capabilities": capabilities,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use crate::stage::NoConfig;

    const DESCRIPTION: Description = Description {
        name: "sample",
        version: "1.2.3",
        kind: Kind::Test,
        summary: "Shows a document",
        capabilities: &[
            Capability::tools(&["rust"], "runs cargo").network(&["*:*"]),
            Capability::secrets(&[], "signs").read(),
            Capability::http(&["GET https://example.com/"], "looks"),
        ],
    };

    /// Options of a sample.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Config {
        /// How many.
        count: u8,
        #[serde(default)]
        names: Vec<String>,
    }

    fn parsed(document: &str) -> Value {
        serde_json::from_str(document).expect("the document is JSON")
    }

    #[test]
    fn the_document_tells_all_that_the_macro_was_given() {
        let document = parsed(&document(&DESCRIPTION, &|_: Config| Ok::<(), Failure>(())));
        assert_eq!(document["schema"], 1);
        assert_eq!(document["name"], "sample");
        assert_eq!(document["version"], "1.2.3");
        assert_eq!(document["kind"], "test");
        assert_eq!(document["summary"], "Shows a document");
        assert_eq!(
            document["capabilities"],
            json!([
                {"interface": "tools", "names": ["rust"], "network": ["*:*"], "read": false, "why": "runs cargo"},
                {"interface": "secrets", "names": [], "network": [], "read": true, "why": "signs"},
                {"interface": "http", "names": ["GET https://example.com/"], "network": [], "read": false, "why": "looks"},
            ])
        );
    }

    #[test]
    fn doc_comments_become_descriptions_and_unknown_keys_are_refused() {
        let document = parsed(&document(&DESCRIPTION, &|_: Config| Ok::<(), Failure>(())));
        let schema = &document["config_schema"];
        assert_eq!(schema["description"], "Options of a sample.");
        assert_eq!(schema["properties"]["count"]["description"], "How many.");
        assert_eq!(schema["required"], json!(["count"]));
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn the_document_is_as_the_published_schema_says() {
        let schema = include_str!("../../../docs/schemas/describe.json");
        let schema = jsonschema::validator_for(&parsed(schema)).expect("it is a schema");
        let full = parsed(&document(&DESCRIPTION, &|_: Config| Ok::<(), Failure>(())));
        let bare = Description { capabilities: &[], kind: Kind::Deploy, ..DESCRIPTION };
        let bare = parsed(&document(&bare, &|| Ok::<(), Failure>(())));
        for document in [&full, &bare] {
            schema.validate(document).unwrap_or_else(|error| panic!("{error}: {document}"));
        }
        let mut other = bare.clone();
        other["schema"] = json!(2);
        assert!(!schema.is_valid(&other));
    }

    #[test]
    fn a_stage_without_configuration_takes_an_empty_table() {
        let schema = schemars::schema_for!(NoConfig);
        let schema: Value = schema.into();
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], json!(false));
    }
}
