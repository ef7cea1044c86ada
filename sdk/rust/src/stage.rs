//! From a host's call to an author's function: the configuration in between.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// A function that can be a stage: `fn() -> Result<(), Failure>`, or the same with one
/// argument, its configuration, taken by value or by reference.
///
/// `M` only keeps the three apart for the compiler; nobody has to name it.
pub trait Stage<M> {
    /// What the pipeline's `with` table is read into.
    type Config: DeserializeOwned + JsonSchema;

    /// Calls the function.
    ///
    /// # Errors
    /// Fails as the function does.
    fn call(&self, config: Self::Config) -> Result<(), Failure>;
}

/// The configuration of a stage that has none: an empty table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

impl<F> Stage<NoConfig> for F
where
    F: Fn() -> Result<(), Failure>,
{
    type Config = NoConfig;

    fn call(&self, _config: NoConfig) -> Result<(), Failure> {
        self()
    }
}

impl<F, C> Stage<(C,)> for F
where
    F: Fn(C) -> Result<(), Failure>,
    C: DeserializeOwned + JsonSchema,
{
    type Config = C;

    fn call(&self, config: C) -> Result<(), Failure> {
        self(config)
    }
}

/// Marks a stage function that takes its configuration by reference.
pub struct ByReference<C>(PhantomData<C>);

impl<F, C> Stage<ByReference<C>> for F
where
    F: Fn(&C) -> Result<(), Failure>,
    C: DeserializeOwned + JsonSchema,
{
    type Config = C;

    fn call(&self, config: C) -> Result<(), Failure> {
        self(&config)
    }
}

/// Reads the configuration and calls the stage.
pub(crate) fn call<M, S: Stage<M>>(stage: &S) -> Result<(), Failure> {
    stage.call(crate::run::config()?)
}

/// Does the same for the host.
///
/// # Errors
/// Fails as the stage does, or with `invalid-config`.
#[cfg(target_arch = "wasm32")]
pub fn export<M, S: Stage<M>>(stage: &S) -> Result<(), crate::raw::Failure> {
    call(stage).map_err(Into::into)
}

/// Reads a `with` table.
///
/// # Errors
/// Fails with `invalid-config`, and names the key that is wrong.
pub(crate) fn decode<C: DeserializeOwned>(text: &str) -> Result<C, Failure> {
    // A host may say nothing where the pipeline says nothing.
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => "with".to_owned(),
            path => format!("with.{path}"),
        };
        Failure::new("invalid-config", format!("`{path}` is wrong: {}", in_words(error.inner()))).detail("path", path)
    })
}

/// Returns serde's message without the line and column: the table was not written as JSON.
fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Config {
        app: String,
        #[serde(default)]
        hosts: Vec<Entry>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Entry {
        port: u16,
    }

    fn refusal(text: &str) -> (String, String) {
        let failure = decode::<Config>(text).expect_err("the table is wrong");
        assert_eq!(failure.code, "invalid-config");
        (failure.get("path").expect("the path is told").to_owned(), failure.message)
    }

    #[test]
    fn a_good_table_is_read() {
        let config: Config = decode(r#"{"app":"shop","hosts":[{"port":80}]}"#).expect("the table is right");
        assert_eq!(config.app, "shop");
        assert_eq!(config.hosts[0].port, 80);
    }

    #[test]
    fn a_wrong_value_is_named_by_its_path() {
        let (path, message) = refusal(r#"{"app":"shop","hosts":[{"port":80},{"port":"x"}]}"#);
        assert_eq!(path, "with.hosts[1].port");
        assert_eq!(message, "`with.hosts[1].port` is wrong: invalid type: string \"x\", expected u16");
    }

    #[test]
    fn an_unknown_and_a_missing_key_are_named() {
        let (path, message) = refusal(r#"{"app":"shop","aps":1}"#);
        assert_eq!(path, "with.aps");
        assert!(message.contains("unknown field `aps`, expected `app` or `hosts`"), "{message}");
        let (path, message) = refusal("");
        assert_eq!(path, "with");
        assert_eq!(message, "`with` is wrong: missing field `app`");
    }

    #[test]
    fn a_function_takes_its_configuration_as_it_likes() {
        fn nothing() -> Result<(), Failure> {
            Ok(())
        }
        fn reference(config: &Config) -> Result<(), Failure> {
            assert_eq!(config.app, "shop");
            Ok(())
        }
        #[expect(clippy::needless_pass_by_value, reason = "it is what this test is about")]
        fn value(config: Config) -> Result<(), Failure> {
            reference(&config)
        }
        fn give<M, S: Stage<M>>(stage: &S, text: &str) -> Result<(), Failure> {
            stage.call(decode(text)?)
        }
        give(&nothing, "{}").expect("no configuration");
        give(&reference, r#"{"app":"shop"}"#).expect("by reference");
        give(&value, r#"{"app":"shop"}"#).expect("by value");
    }

    #[test]
    fn a_stage_without_configuration_refuses_every_key() {
        assert_eq!(decode::<NoConfig>("{}"), Ok(NoConfig {}));
        assert_eq!(decode::<NoConfig>(""), Ok(NoConfig {}));
        assert!(decode::<NoConfig>(r#"{"app":1}"#).is_err());
    }
}
