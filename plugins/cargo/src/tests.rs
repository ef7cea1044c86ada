//! The stage on the SDK's fake host.

use slipway_sdk::json;
use slipway_sdk::testing::{Fake, Script};
use slipway_sdk::tools::Command;

use super::*;

/// Returns the line in which cargo tells that it made a program.
fn made(name: &str) -> String {
    let path = format!("/work/target/release/{name}");
    let message = json!({
        "reason": "compiler-artifact",
        "package_id": "path+file:///work#shop@1.0.0",
        "target": {"name": name, "kind": ["bin"]},
        "profile": {"test": false},
        "filenames": [path],
        "executable": path,
    });
    format!("{message}\n")
}

/// A host with cargo, and with the files it says it made.
fn host(script: impl Fn(&Command) -> Script + 'static) -> Fake {
    Fake::new()
        .file("target/release/shop", "program")
        .file("target/release/shop.wasm", "component")
        .tool("rust", "cargo", script)
}

#[test]
fn what_cargo_made_is_stored() {
    let fake = host(|_| Script::new().stdout(made("shop")).stdout(made("shop.wasm")));
    fake.call(build).unwrap();

    assert_eq!(fake.artifact("shop").unwrap(), b"program");
    let stored: Vec<_> = fake.artifacts().into_iter().map(|stored| (stored.name, stored.media_type)).collect();
    assert_eq!(
        stored,
        [("shop".into(), "application/octet-stream".into()), ("shop.wasm".into(), "application/wasm".into())]
    );
    assert_eq!(fake.output("artifacts").as_deref(), Some("shop,shop.wasm"));
    assert_eq!(fake.steps()[0].progress, Some((2, None)));
}

#[test]
fn every_option_reaches_cargo() {
    let fake =
        host(|_| Script::new()).file("app/Cargo.lock", "").tool("nightly", "cargo", |_| Script::new()).config(json!({
            "package": "shop",
            "target": "wasm32-wasip2",
            "profile": "dev",
            "features": ["a", "b"],
            "no_default_features": true,
            "directory": "app",
            "tool": "nightly",
        }));
    fake.call(build).unwrap();

    let command = &fake.commands()[0];
    assert_eq!((command.tool.as_str(), command.directory.as_str()), ("nightly", "app"));
    assert_eq!(
        command.args.join(" "),
        "build --message-format=json-render-diagnostics --profile=dev --package=shop \
         --target=wasm32-wasip2 --features=a,b --no-default-features --locked"
    );
}

#[test]
fn what_poses_as_an_option_is_refused_before_cargo_is_asked() {
    for (setting, value) in [
        ("package", json!("--config=evil")),
        ("target", json!("-Zunstable-options")),
        ("profile", json!("dev --config evil")),
        ("features", json!(["a", "b,c"])),
        ("directory", json!("/etc")),
    ] {
        let fake = host(|_| Script::new()).config(json!({ setting: value }));
        let failure = fake.call(build).unwrap_err();
        assert_eq!(failure.code, "invalid-config", "{setting}");
        assert!(failure.message.contains(setting), "{failure}");
        assert!(fake.commands().is_empty(), "{setting}");
    }
}

#[test]
fn the_schema_refuses_it_too() {
    let description: slipway_sdk::serde_json::Value = slipway_sdk::serde_json::from_str(&describe()).unwrap();
    let properties = &description["config_schema"]["properties"];
    for setting in ["package", "target", "profile"] {
        assert_eq!(properties[setting]["pattern"], WORD, "{setting}");
    }
    assert_eq!(properties["features"]["items"]["pattern"], WORD);
    assert_eq!(properties["directory"]["pattern"], DIRECTORY);
}

#[test]
fn a_lock_file_is_binding_only_where_there_is_one() {
    let args = |fake: Fake| {
        fake.call(build).unwrap();
        fake.commands()[0].args.join(" ")
    };
    assert!(!args(host(|_| Script::new())).contains("--locked"));
    assert!(args(host(|_| Script::new()).file("Cargo.lock", "")).contains("--locked"));
    let loose = host(|_| Script::new()).file("Cargo.lock", "").config(json!({"locked": false}));
    assert!(!args(loose).contains("--locked"));
}

#[test]
fn a_compile_error_fails_the_stage_with_its_place() {
    let fake = host(|_| Script::new().stderr("error[E0308]: mismatched types\n --> src/lib.rs:7:5\n").exit(101));
    let failure = fake.call(build).unwrap_err();
    assert_eq!(failure.code, "build-failed");
    assert_eq!(failure.message, "`cargo build` failed: mismatched types at `src/lib.rs:7`");
    assert_eq!(fake.steps()[0].failed.as_ref(), Some(&failure.message));
    assert!(fake.artifacts().is_empty());
}

#[test]
fn only_the_files_asked_for_are_stored() {
    let script = |_: &Command| Script::new().stdout(made("shop")).stdout(made("shop.wasm"));
    let fake = host(script).config(json!({"artifacts": ["shop.wasm"]}));
    fake.call(build).unwrap();
    assert_eq!(fake.artifacts().len(), 1);

    let failure = host(script).config(json!({"artifacts": ["shop.exe"]})).call(build).unwrap_err();
    assert_eq!(failure.message, "cargo did not make `shop.exe`: it made `shop`, `shop.wasm`");
}

#[test]
fn a_build_that_makes_nothing_warns() {
    let fake = host(|_| Script::new());
    fake.call(build).unwrap();
    assert!(fake.logged("nothing to store"));
}

#[test]
fn without_the_grant_the_refusal_is_the_failure() {
    let fake = host(|_| Script::new()).without("tools", "rust");
    assert_eq!(fake.call(build).unwrap_err().code, "not-granted");
}

#[test]
fn the_description_tells_the_defaults() {
    let description: slipway_sdk::serde_json::Value = slipway_sdk::serde_json::from_str(&describe()).unwrap();
    assert_eq!(description["version"], "1.0.0");
    assert_eq!(description["config_schema"]["properties"]["tool"]["default"], "rust");
    assert_eq!(description["config_schema"]["additionalProperties"], false);
}
