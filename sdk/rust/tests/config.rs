//! `#[config]` as an author uses it: with `slipway-sdk` and nothing else.

use slipway_sdk::prelude::*;
use slipway_sdk::testing::Fake;
use slipway_sdk::{json, serde_json};

/// What to paint.
#[config]
struct Config {
    /// The thing.
    #[schemars(length(min = 1))]
    thing: String,
    #[serde(default = "blue")]
    colour: Colour,
    coats: Option<Coats>,
}

/// Which colour.
#[config]
#[serde(rename_all = "kebab-case")]
enum Colour {
    Blue,
    DarkRed,
}

#[config]
struct Coats {
    count: u8,
}

fn blue() -> Colour {
    Colour::Blue
}

impl Serialize for Colour {
    fn serialize<S: slipway_sdk::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Colour {
    fn name(&self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::DarkRed => "dark-red",
        }
    }
}

fn paint(config: &Config) -> Result<(), Failure> {
    let coats = config.coats.as_ref().map_or(1, |coats| coats.count);
    run::set_output("painted", format!("{} {} {coats}", config.thing, config.colour.name()))
}

slipway_sdk::builder! {
    name: "paint",
    version: "2.0.0-beta.1",
    summary: "Paints things",
    build: paint,
}

#[test]
fn values_and_defaults_reach_the_stage() {
    let fake = Fake::new().config(json!({"thing": "door"}));
    fake.call(paint).unwrap();
    assert_eq!(fake.output("painted").as_deref(), Some("door blue 1"));

    let fake = Fake::new().config(json!({"thing": "gate", "colour": "dark-red", "coats": {"count": 3}}));
    fake.call(paint).unwrap();
    assert_eq!(fake.output("painted").as_deref(), Some("gate dark-red 3"));
}

#[test]
fn what_is_wrong_is_refused_with_its_path() {
    for (config, path) in [
        (json!({}), "with"),
        (json!({"thing": "door", "color": "blue"}), "with.color"),
        (json!({"thing": "door", "colour": "pink"}), "with.colour"),
        (json!({"thing": "door", "coats": {"count": -1}}), "with.coats.count"),
        (json!({"thing": "door", "coats": {"count": 1, "dry": true}}), "with.coats.dry"),
    ] {
        let failure = Fake::new().config(config).call(paint).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.get("path")), ("invalid-config", Some(path)));
    }
}

#[test]
fn the_schema_has_the_words_and_the_limits() {
    let document: serde_json::Value = serde_json::from_str(&describe()).unwrap();
    assert_eq!(document["version"], "2.0.0-beta.1");
    assert_eq!(document["capabilities"], json!([]));
    let schema = &document["config_schema"];
    assert_eq!(schema["description"], "What to paint.");
    assert_eq!(schema["properties"]["thing"]["description"], "The thing.");
    assert_eq!(schema["properties"]["thing"]["minLength"], 1);
    assert_eq!(schema["properties"]["colour"]["default"], "blue");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Colour"]["enum"], json!(["blue", "dark-red"]));
}
