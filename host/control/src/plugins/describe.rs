//! What a plugin says of itself, checked against what its bytes show.

use crate::definition::PluginFacts;
use serde::{Deserialize, Serialize};
use slipway_domain::Digest;
use slipway_domain::grant::host::HostRule;
use slipway_domain::grant::http::HttpRule;
use slipway_domain::grant::{Interface, Request};
use slipway_domain::plugin::{Kind, Plugin};
use slipway_protocol::message::Description as Described;

/// What a worker has found out: what a component is, or why it cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(pub Result<Described, String>);

impl Description {
    /// As it is stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Stored { host: HOST.to_owned(), found: self.0.clone() }).unwrap_or_default()
    }

    /// From what is stored. `None` when it has to be looked at again: what another version of
    /// the host could not use, this one may be able to.
    pub fn from_json(text: &str) -> Option<Self> {
        let stored: Stored = serde_json::from_str(text).ok()?;
        (stored.found.is_ok() || stored.host == HOST).then_some(Self(stored.found))
    }
}

/// This version of the host.
const HOST: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize, Deserialize)]
struct Stored {
    host: String,
    found: Result<Described, String>,
}

/// The version of the document that is known here.
const SCHEMA: u64 = 1;

/// What every version of the document has.
#[derive(Debug, Deserialize)]
struct Versioned {
    schema: u64,
}

/// The document that `describe` returns, by `docs/schemas/describe.json`.
#[derive(Debug, Deserialize)]
struct Document {
    name: String,
    version: String,
    kind: String,
    #[serde(default = "anything")]
    config_schema: serde_json::Value,
    #[serde(default)]
    capabilities: Vec<Asked>,
}

#[derive(Debug, Deserialize)]
struct Asked {
    interface: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    network: Vec<String>,
    #[serde(default)]
    read: bool,
    #[serde(default)]
    why: String,
}

fn anything() -> serde_json::Value {
    serde_json::json!({ "type": "object" })
}

/// What the host takes a plugin for. The kind and the imports are those of its bytes; its
/// own word adds its name, its config schema, and what it asks for.
pub fn facts(description: &Description, digest: &Digest, size: u64) -> Result<PluginFacts, String> {
    let described = description.0.clone()?;
    let kind = Kind::parse(&described.kind).ok_or_else(|| format!("a worker found kind `{}`", described.kind))?;
    let no_document = |error| format!("`describe` returned no document of a plugin: {error}");
    // First, since another version may be of another form.
    let Versioned { schema } = serde_json::from_str(&described.text).map_err(no_document)?;
    if schema != SCHEMA {
        return Err(format!(
            "its description is of schema {schema}, and this server knows {SCHEMA}: build it with an SDK of this version"
        ));
    }
    let document: Document = serde_json::from_str(&described.text).map_err(no_document)?;
    if document.kind != kind.as_str() {
        return Err(format!(
            "it says that it is a {} stage, and its exports make it a {kind} stage",
            document.kind.escape_debug()
        ));
    }
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 40
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !word(&document.name) {
        return Err(format!("its name `{}` is none: use a-z, 0-9 and `-`", document.name.escape_debug()));
    }
    let numbers: Vec<&str> = document.version.split('.').collect();
    if numbers.len() != 3 || document.version.len() > 64 || numbers.iter().any(|number| number.is_empty()) {
        return Err(format!("its version `{}` is none: write `1.0.0`", document.version.escape_debug()));
    }
    super::schema::check(&document.config_schema)?;
    let imports = described
        .imports
        .iter()
        .filter_map(|import| import.strip_prefix("slipway:stage/"))
        .filter_map(|rest| Interface::parse(rest.split('@').next().unwrap_or(rest)))
        .collect();
    let mut requests = Vec::new();
    for asked in document.capabilities {
        let interface = Interface::parse(&asked.interface)
            .ok_or_else(|| format!("it asks for `{}`, which is no interface", asked.interface.escape_debug()))?;
        let why = asked.why.chars().filter(|c| !c.is_control()).take(200).collect();
        if interface == Interface::Http
            && let Some(error) = asked.names.iter().find_map(|rule| HttpRule::parse(rule).err())
        {
            return Err(format!("it asks for requests, and {error}"));
        }
        let network: Result<Vec<HostRule>, _> = asked.network.iter().map(|rule| HostRule::parse(rule)).collect();
        let network = network.map_err(|error| format!("it asks for a network, and {error}"))?;
        requests.push(Request { interface, names: asked.names, network, read: asked.read, why });
    }
    let plugin = Plugin { name: document.name, version: document.version, kind, imports, requests };
    Ok(PluginFacts { plugin, digest: digest.clone(), size, config_schema: document.config_schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: &str, text: &str) -> Result<PluginFacts, String> {
        let described = Described {
            kind: kind.into(),
            imports: vec!["slipway:stage/tools@0.1.0".into(), "wasi:io/error@0.2.6".into()],
            text: text.into(),
        };
        facts(&Description(Ok(described)), &Digest::new(format!("sha256:{:064}", 0)).unwrap(), 10)
    }

    #[test]
    fn a_refusal_of_another_version_of_the_host_does_not_last() {
        let refused = Description(Err("it imports what there is not".into()));
        assert_eq!(Description::from_json(&refused.to_json()), Some(refused.clone()));
        let older = refused.to_json().replace(&format!("\"host\":\"{HOST}\""), "\"host\":\"0.0.1\"");
        assert_ne!(older, refused.to_json());
        assert_eq!(Description::from_json(&older), None);
    }

    #[test]
    fn a_sound_document_is_taken_with_what_the_bytes_show() {
        let text = r#"{"schema":1,"name":"cargo","version":"1.0.0","kind":"build","summary":"s",
            "config_schema":{"type":"object"},
            "capabilities":[{"interface":"tools","names":["rust"],"why":"runs cargo"}]}"#;
        let facts = found("build", text).unwrap();
        assert_eq!(facts.plugin.imports, [Interface::Tools].into());
        assert_eq!(facts.plugin.requests[0].names, ["rust"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        for (text, reason) in [
            ("hello", "returned no document"),
            ("{}", "returned no document"),
            (r#"{"name":"x","version":"1.0.0","kind":"build"}"#, "missing field `schema`"),
            (r#"{"schema":2,"name":"x","version":"1.0.0","kind":"build"}"#, "of schema 2, and this server knows 1"),
            (r#"{"schema":2,"id":"x"}"#, "of schema 2"),
            (r#"{"schema":1}"#, "returned no document"),
            (r#"{"schema":1,"name":"../x","version":"1.0.0","kind":"build"}"#, "its name"),
            (r#"{"schema":1,"name":"x","version":"1","kind":"build"}"#, "its version"),
            (r#"{"schema":1,"name":"x","version":"1.0.0","kind":"build","config_schema":7}"#, "no JSON Schema"),
            (
                r#"{"schema":1,"name":"x","version":"1.0.0","kind":"build","capabilities":[{"interface":"root"}]}"#,
                "no interface",
            ),
        ] {
            let refused = found("build", text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
            let document = serde_json::from_str(text).unwrap_or_default();
            assert!(!published().is_valid(&document), "the published schema refuses it too: {text}");
        }
        // What only the host can see: what the bytes are, and whether a schema is one.
        for (text, reason) in [
            (r#"{"schema":1,"name":"x","version":"1.0.0","kind":"deploy"}"#, "its exports make it a build stage"),
            (
                r#"{"schema":1,"name":"x","version":"1.0.0","kind":"build","config_schema":{"type":"nothing"}}"#,
                "no JSON Schema",
            ),
        ] {
            assert!(found("build", text).unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn the_published_schema_takes_what_the_host_takes() {
        for text in [
            r#"{"schema":1,"name":"x","version":"1.0.0","kind":"build"}"#,
            r#"{"schema":1,"name":"x-2","version":"1.0.0-rc1","kind":"build","more":7,"config_schema":true,
                "capabilities":[{"interface":"tools"},{"interface":"secrets","names":["a"],"why":"signs"}]}"#,
        ] {
            found("build", text).unwrap();
            assert!(published().is_valid(&serde_json::from_str(text).unwrap()), "{text}");
        }
    }

    fn published() -> jsonschema::Validator {
        let schema = include_str!("../../../../docs/schemas/describe.json");
        jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
    }
}
