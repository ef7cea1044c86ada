//! The stage on the SDK's fake host.

use slipway_sdk::apps::Health;
use slipway_sdk::json;
use slipway_sdk::testing::Fake;

use super::*;

/// A run of the tag `v1.1.0`, whose build stored one component.
fn host() -> Fake {
    Fake::new()
        .config(json!({"app": "hello"}))
        .version("1.1.0")
        .input_artifact("build", "hello.wasm", "application/wasm", b"new")
        .input_artifact("build", "junit.xml", "application/xml", b"<x/>")
}

fn answer(status: u16) -> Health {
    Health {
        healthy: status == 200,
        status,
        message: "the stock is not loaded".into(),
        time: Duration::from_millis(1),
        details: Vec::new(),
    }
}

#[test]
fn a_first_release_is_planned_made_and_told() {
    let fake = host().app("hello");
    fake.plan(plan).unwrap();
    let change = &fake.changes()[0];
    assert_eq!((change.action.as_str(), change.object.as_str()), ("create", "app `hello`"));
    assert_eq!(change.before, None);
    assert!(change.after.as_ref().unwrap().starts_with("version 1.1.0, sha256:11507a0e2f5e69d5"));
    assert_eq!(fake.current("hello"), None);

    fake.call(apply).unwrap();
    assert_eq!(fake.current("hello").unwrap().version, "1.1.0");
    assert_eq!(fake.output("address").as_deref(), Some("http://hello.localhost/"));
    assert_eq!(fake.output("release"), Some(fake.current("hello").unwrap().id));
    let waits: Vec<u32> = fake.health_checks().iter().map(|(_, _, within_ms)| *within_ms).collect();
    assert_eq!(waits, [20_000, 2_000]);
}

#[test]
fn a_later_release_replaces_the_one_before() {
    let fake = host().app_running("hello", "1.0.0", b"old");
    fake.plan(plan).unwrap();
    assert_eq!(fake.changes()[0].action, "replace");
    assert!(fake.changes()[0].before.as_ref().unwrap().starts_with("version 1.0.0, sha256:"));
    fake.call(apply).unwrap();
    assert_eq!(fake.current("hello").unwrap().version, "1.1.0");
}

#[test]
fn the_same_component_is_no_change() {
    let fake = host().app_running("hello", "1.0.0", b"new");
    fake.plan(plan).unwrap();
    assert!(fake.changes().is_empty());
    fake.call(apply).unwrap();
    assert_eq!(fake.current("hello").unwrap().version, "1.0.0");
}

#[test]
fn an_unhealthy_release_gets_no_traffic() {
    let fake = host().app_running("hello", "1.0.0", b"old").health(|_, _| answer(503));
    let failure = fake.call(apply).unwrap_err();
    assert_eq!(failure.code, "unhealthy");
    assert_eq!(
        failure.message,
        "version 1.1.0 of app `hello` is not healthy: `/health` answered 503: the stock is not loaded"
    );
    assert_eq!(fake.current("hello").unwrap().version, "1.0.0");
}

#[test]
fn a_release_that_turns_bad_is_taken_back() {
    let asked = std::cell::Cell::new(0);
    let fake = host().app_running("hello", "1.0.0", b"old").health(move |_, _| {
        asked.set(asked.get() + 1);
        answer(if asked.get() == 1 { 200 } else { 0 })
    });
    let failure = fake.call(apply).unwrap_err();
    assert!(failure.message.contains("`/health` did not answer"), "{failure}");
    assert_eq!(fake.current("hello").unwrap().version, "1.1.0");

    fake.call(rollback).unwrap();
    assert_eq!(fake.current("hello").unwrap().version, "1.0.0");
    assert!(fake.logged("runs version 1.0.0 again"));
}

#[test]
fn a_rollback_of_nothing_is_fine() {
    let fake = host().app("hello");
    fake.call(rollback).unwrap();
    assert_eq!(fake.current("hello"), None);
}

#[test]
fn the_component_has_to_be_clear() {
    let several = || host().app("hello").input_artifact("build", "other.wasm", "application/wasm", b"other");
    let failure = several().plan(plan).unwrap_err();
    assert_eq!(failure.code, "ambiguous-artifact");
    assert!(failure.message.ends_with("name one of `hello.wasm`, `other.wasm` as `artifact`"), "{failure}");

    several().config(json!({"app": "hello", "artifact": "other.wasm"})).plan(plan).unwrap();
    let failure = several().config(json!({"app": "hello", "artifact": "lost.wasm"})).plan(plan).unwrap_err();
    assert_eq!(failure.to_string(), "stage `build` stored no artifact `lost.wasm` (no-artifact)");

    let failure = Fake::new().config(json!({"app": "hello"})).input("build").plan(plan).unwrap_err();
    assert_eq!(failure.message, "stage `build` stored no component");
    let failure = Fake::new().config(json!({"app": "hello"})).plan(plan).unwrap_err();
    assert_eq!(failure.code, "not-an-input");
}

#[test]
fn without_the_grant_the_refusal_is_the_failure() {
    assert_eq!(host().plan(plan).unwrap_err().code, "not-granted");
    let fake = host().app("hello").without("apps", "hello");
    assert_eq!(fake.call(apply).unwrap_err().code, "not-granted");
    assert_eq!(fake.call(rollback).unwrap_err().code, "not-granted");
}

#[test]
fn the_schema_refuses_what_cannot_be_a_name() {
    let description: slipway_sdk::serde_json::Value = slipway_sdk::serde_json::from_str(&describe()).unwrap();
    let schema = &description["config_schema"];
    assert_eq!(schema["required"], json!(["app"]));
    assert_eq!(schema["properties"]["app"]["pattern"], "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$");
    assert_eq!(schema["properties"]["startup_seconds"]["default"], 20);
}

#[test]
fn names_that_are_none_are_refused_before_the_host_is_asked() {
    for (setting, value) in
        [("app", "--x"), ("app", "Shop"), ("stage", "../build"), ("health", "health"), ("health", "/a b")]
    {
        let mut config = json!({"app": "shop"});
        config[setting] = json!(value);
        let failure = Fake::new().config(config).call(plan).unwrap_err();
        assert!(failure.code == "invalid-config" && failure.message.contains(setting), "{failure}");
    }
    // A sound one gets as far as to look for the artifact.
    let failure = Fake::new().config(json!({"app": "shop"})).call(plan).unwrap_err();
    assert_eq!(failure.code, "not-an-input");
}
