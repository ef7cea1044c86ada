//! The whole check of a pipeline file: read, plugins resolved, `with` against each
//! plugin's schema, and the domain's rules.

use super::source::{Diagnostic, Source};
use slipway_domain::check::{Place, Problem, Resolution, Row, Situation, nearest};
use slipway_domain::definition::{Definition, StageDefinition, Uses};
use slipway_domain::grant::{Grants, Operator};
use slipway_domain::pin::{self, Pin, Pins};
use slipway_domain::plugin::Plugin;
use slipway_domain::{Digest, StageName};
use std::collections::BTreeMap;

/// A plugin that can be used: what the host knows of it, and its config schema.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginFacts {
    /// What the rules need.
    pub plugin: Plugin,
    /// The component.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size: u64,
    /// The JSON Schema of `with`.
    pub config_schema: serde_json::Value,
}

impl PluginFacts {
    /// The plugin as a lock file holds it.
    pub fn pin(&self) -> Pin {
        Pin::of(&self.plugin, &self.digest, self.size)
    }
}

/// The plugins that a pipeline names.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// What became of each `uses`.
    pub plugins: BTreeMap<Uses, Result<PluginFacts, Resolution>>,
    /// What the lock file holds, where there is one.
    pub pins: Option<Pins>,
}

/// Of plugins under one name, the one that is pinned comes first.
pub fn is_pinned(pins: Option<&Pins>, uses: &Uses, digest: &Digest) -> bool {
    pins.and_then(|pins| pins.get(uses)).is_some_and(|pin| pin.digest == *digest)
}

impl Catalog {
    fn resolutions(&self) -> BTreeMap<Uses, Resolution> {
        let resolutions = self.plugins.iter().map(|(uses, found)| {
            let resolution = match found {
                Ok(facts) => Resolution::Known(facts.plugin.clone()),
                Err(resolution) => resolution.clone(),
            };
            (uses.clone(), resolution)
        });
        resolutions.collect()
    }
}

/// What a stage of a checked pipeline is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct StageFacts {
    /// The plugin.
    pub plugin: Plugin,
    /// The component.
    pub digest: Digest,
    /// What it may do.
    pub grants: Grants,
}

/// A pipeline in which nothing is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The definition.
    pub definition: Definition,
    /// What each stage is run with.
    pub stages: BTreeMap<StageName, StageFacts>,
}

/// Checks a definition that was read from `source`.
pub fn check(
    source: &Source,
    definition: &Definition,
    catalog: &Catalog,
    situation: &Situation<'_>,
) -> Result<Checked, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    for stage in &definition.stages {
        if let Some(Ok(facts)) = catalog.plugins.get(&stage.uses) {
            problems.extend(check_with(stage, facts));
        }
    }
    let found = |uses: &Uses| catalog.plugins.get(uses)?.as_ref().ok().map(PluginFacts::pin);
    problems.extend(pin::check(definition, catalog.pins.as_ref(), situation.operator.pins, found));
    match slipway_domain::check::check(definition, &catalog.resolutions(), situation) {
        Ok(mut checked) if problems.is_empty() => {
            let stages = definition.stages.iter().filter_map(|stage| {
                let Some(Ok(facts)) = catalog.plugins.get(&stage.uses) else { return None };
                let grants = checked.grants.remove(&stage.name).unwrap_or_default();
                let facts = StageFacts { plugin: facts.plugin.clone(), digest: facts.digest.clone(), grants };
                Some((stage.name.clone(), facts))
            });
            Ok(Checked { definition: definition.clone(), stages: stages.collect() })
        }
        Ok(_) => Err(source.locate_all(&problems)),
        Err(more) => {
            problems.extend(more);
            Err(source.locate_all(&problems))
        }
    }
}

/// What each stage may do in each tier, and who refuses the rest.
pub fn table(definition: &Definition, catalog: &Catalog, operator: &Operator) -> Vec<Row> {
    slipway_domain::check::table(definition, &catalog.resolutions(), operator)
}

/// The most values in a stage's `with`: checking them takes time for each part of the schema.
const WITH_VALUES_MAX: usize = 1_000;

/// How many values there are in one, itself included.
fn values(value: &serde_json::Value) -> usize {
    1 + match value {
        serde_json::Value::Array(list) => list.iter().map(values).sum(),
        serde_json::Value::Object(object) => object.values().map(values).sum(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

/// Checks a stage's `with` against its plugin's schema.
fn check_with(stage: &StageDefinition, facts: &PluginFacts) -> Vec<Problem> {
    let validator = match jsonschema::validator_for(&facts.config_schema) {
        Ok(validator) => validator,
        Err(error) => {
            return vec![Problem {
                code: "unusable-plugin",
                place: Place::stage(&stage.name, &["uses"]),
                message: format!("plugin `{}` has a config schema that is none: {error}", facts.plugin.name),
                hint: None,
            }];
        }
    };
    let with: serde_json::Value = serde_json::from_str(&stage.with).unwrap_or_default();
    if values(&with) > WITH_VALUES_MAX {
        return vec![Problem {
            code: "invalid-with",
            place: Place::stage(&stage.name, &["with"]),
            message: format!("`with` holds more than {WITH_VALUES_MAX} values"),
            hint: Some("keep long lists in a file of the repository, and name the file here".into()),
        }];
    }
    let mut problems: Vec<Problem> =
        validator.iter_errors(&with).flat_map(|error| describe(stage, facts, &with, &error)).take(16).collect();
    // One wrong key can break several rules of a schema, which are one mistake.
    let mut told = Vec::new();
    problems.retain(|problem| {
        let is_new = !told.contains(problem);
        told.push(problem.clone());
        is_new
    });
    problems
}

#[expect(clippy::wildcard_enum_match_arm, reason = "some of the many kinds of errors are told in our words")]
fn describe(
    stage: &StageDefinition,
    facts: &PluginFacts,
    with: &serde_json::Value,
    error: &jsonschema::ValidationError<'_>,
) -> Vec<Problem> {
    use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
    let path: Vec<String> = error
        .instance_path()
        .as_str()
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect();
    let plugin = &facts.plugin.name;
    let problem = |more: Option<&str>, message: String, hint: Option<String>| {
        let keys: Vec<&str> = ["with"].into_iter().chain(path.iter().map(String::as_str)).chain(more).collect();
        Problem { code: "invalid-with", place: Place::stage(&stage.name, &keys), message, hint }
    };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let known: Vec<&str> = facts
                .config_schema
                .get("properties")
                .and_then(serde_json::Value::as_object)
                .map(|properties| properties.keys().map(String::as_str).collect())
                .unwrap_or_default();
            let unknown = unexpected.iter().map(|name| {
                let hint = nearest(name, &known).map_or_else(
                    || format!("it has {}", slipway_domain::check::list(&known)),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("plugin `{plugin}` has no setting `{}`", name.escape_debug());
                problem(Some(name), message, Some(hint))
            });
            unknown.collect()
        }
        // What a schema without properties says of any.
        Kind::FalseSchema if path.is_empty() => {
            let unknown = with.as_object().into_iter().flat_map(serde_json::Map::keys).map(|name| {
                let message = format!("plugin `{plugin}` has no setting `{}`", name.escape_debug());
                problem(Some(name), message, Some("it has no settings: take it out".to_owned()))
            });
            unknown.collect()
        }
        Kind::Type { kind: TypeKind::Single(wanted) } => {
            let setting = if path.is_empty() { "with".to_owned() } else { path.join(".") };
            let wanted = wanted.to_string();
            let (wanted, given) = (type_words(&wanted), type_words(type_of(error.instance())));
            vec![problem(None, format!("`{setting}` of plugin `{plugin}` has to be {wanted}, and is {given}"), None)]
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let hint = format!("add `{name} = …` to `with` of `[stages.{}]`", stage.name);
            vec![problem(None, format!("plugin `{plugin}` needs the setting `{name}`"), Some(hint))]
        }
        Kind::Pattern { pattern } => {
            let setting = path.join(".");
            let given = error.instance().as_str().unwrap_or_default();
            let message = format!("`{setting}` of plugin `{plugin}` cannot be `{}`", given.escape_debug());
            vec![problem(None, message, Some(format!("it has to match `{pattern}`")))]
        }
        _ => {
            let setting = if path.is_empty() { "with".to_owned() } else { path.join(".") };
            vec![problem(None, format!("`{setting}` does not suit plugin `{plugin}`: {error}"), None)]
        }
    }
}

/// The type of a value, in the words of JSON Schema.
fn type_of(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(number) if number.is_f64() => "number",
        serde_json::Value::Number(_) => "integer",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    }
}

/// A type of JSON Schema in the words of TOML.
fn type_words(schema: &str) -> &str {
    match schema {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::read;
    use slipway_domain::ToolName;
    use slipway_domain::grant::{Interface, Request, Tier};
    use slipway_domain::plugin::Kind;

    fn facts() -> PluginFacts {
        PluginFacts {
            plugin: Plugin {
                name: "cargo".into(),
                version: "1.0.0".into(),
                kind: Kind::Build,
                imports: [Interface::Tools].into(),
                requests: vec![Request::new(Interface::Tools, &["rust"], "")],
            },
            digest: Digest::new(format!("sha256:{:064}", 1)).unwrap(),
            size: 10,
            config_schema: serde_json::json!({
                "type": "object",
                "properties": {
                    "package": { "type": "string", "pattern": "^[a-z][a-z-]*$" },
                    "locked": { "type": "boolean" },
                    "jobs": { "type": "integer", "maximum": 8 },
                },
                "required": ["package"],
                "additionalProperties": false,
            }),
        }
    }

    fn checked(with: &str) -> Result<Checked, Vec<Diagnostic>> {
        let text = format!("name = \"a\"\n[stages.build]\nuses = \"cargo@1\"\ngrant.tools = [\"rust\"]\n{with}");
        let (source, definition) = read(&text);
        let definition = definition.unwrap();
        let catalog = Catalog { plugins: [(Uses::parse("cargo@1").unwrap(), Ok(facts()))].into(), pins: None };
        let operator = Operator { tools: [ToolName::new("rust").unwrap()].into(), ..Operator::default() };
        let situation = Situation { operator: &operator, tier: Tier::Protected, reference: None, secrets: None };
        check(&source, &definition, &catalog, &situation)
    }

    #[test]
    fn a_valid_with_passes() {
        assert!(checked("with = { package = \"shop\" }").is_ok());
    }

    #[test]
    fn a_wrong_with_is_shown_at_its_line() {
        let wrong = |with: &str| checked(with).unwrap_err().remove(0);
        let unknown = wrong("with = { package = \"shop\",\n  lokced = true }");
        assert_eq!((unknown.code.as_str(), unknown.line), ("invalid-with", 6));
        assert_eq!(unknown.hint.as_deref(), Some("did you mean `locked`?"));
        let missing = wrong("");
        assert_eq!(missing.message, "plugin `cargo` needs the setting `package`");
        assert_eq!(missing.line, 2);
        let wrong_type = wrong("[stages.build.with]\npackage = 3");
        assert_eq!((wrong_type.line, wrong_type.column), (6, 11));
        assert_eq!(wrong_type.message, "`package` of plugin `cargo` has to be a string, and is a whole number");
    }

    #[test]
    fn a_value_that_poses_as_an_option_is_refused_in_plain_words() {
        assert!(checked("with = { package = \"shop-api\" }").is_ok());
        let wrong = checked("with = { package = \"--config=evil\" }").unwrap_err();
        assert_eq!(wrong[0].message, "`package` of plugin `cargo` cannot be `--config=evil`");
        assert_eq!(wrong[0].hint.as_deref(), Some("it has to match `^[a-z][a-z-]*$`"));
    }

    #[test]
    fn a_plugin_without_settings_is_told_as_that() {
        let stage =
            read("name = \"a\"\n[stages.build]\nuses = \"cargo@1\"\nwith = { loud = true, fast = 1 }").1.unwrap();
        let config_schema = serde_json::json!({ "type": "object", "additionalProperties": false });
        let problems = check_with(&stage.stages[0], &PluginFacts { config_schema, ..facts() });
        let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages, ["plugin `cargo` has no setting `fast`", "plugin `cargo` has no setting `loud`"]);
    }

    #[test]
    fn all_that_is_wrong_with_a_with_is_shown_at_once() {
        let wrong = checked("[stages.build.with]\npackage = \"A\"\njobs = 9\nlokced = true\nother = 1").unwrap_err();
        let lines: Vec<u32> = wrong.iter().map(|wrong| wrong.line).collect();
        assert_eq!(lines, [6, 7, 8, 9], "{wrong:?}");
    }
}
