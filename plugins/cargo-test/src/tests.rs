//! The stage on the SDK's fake host.

use slipway_sdk::json;
use slipway_sdk::testing::{Fake, Script};
use slipway_sdk::tools::Command;

use super::*;

const LIBRARY: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///work#shop@1.0.0","target":{"kind":["lib"],"name":"shop","doctest":true},"profile":{"test":false},"filenames":[]}"#;
const VERSION: &str = "cargo 1.95.0\nhost: x86_64-unknown-linux-gnu\n";
const RUNNING: &str = "     Running unittests src/lib.rs (target/debug/deps/shop-0f)\n";
const JSON: &str = r#"{ "type": "suite", "event": "started", "test_count": 2 }
{ "type": "test", "name": "adds", "event": "ok", "exec_time": 0.25 }
{ "type": "test", "name": "rounds", "event": "failed", "exec_time": 0.5, "stdout": "thread 'rounds' panicked at src/price.rs:3:9:\nwrong sum\n" }
{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 0, "measured": 0 }
"#;
const TEXT: &str = "running 1 test\ntest adds ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured\n";
const DOC: &str = "running 1 test\ntest src/lib.rs - add (line 2) ... ok\ntest result: ok. 1 passed; 0 failed\n";

/// Which of its jobs cargo is asked to do.
fn job(command: &Command) -> &'static str {
    let has = |arg: &str| command.args.iter().any(|given| given == arg);
    match () {
        () if has("-vV") => "version",
        () if has("--no-run") => "compile",
        () if has("--doc") => "documentation",
        () if has("--format=json") => "json",
        () => "text",
    }
}

/// A host with a cargo that does each job as `other` says, or else as one does whose
/// tests are all fine.
fn host(other: impl Fn(&str) -> Option<Script> + 'static) -> Fake {
    Fake::new().tool("rust", "cargo", move |command| {
        let job = job(command);
        other(job).unwrap_or_else(|| match job {
            "version" => Script::new().stdout(VERSION),
            "documentation" => Script::new().stderr("   Doc-tests shop\n").stdout(DOC),
            "text" => Script::new().stderr(RUNNING).stdout(TEXT),
            _ => Script::new(),
        })
    })
}

fn on(wanted: &'static str, script: &Script) -> impl Fn(&str) -> Option<Script> + 'static + use<> {
    let script = script.clone();
    move |job| (job == wanted).then(|| script.clone())
}

fn shown(fake: &Fake) -> Vec<String> {
    fake.cases().iter().map(|case| format!("{}: {} {}", case.suite, case.name, case.outcome.as_str())).collect()
}

#[test]
fn every_test_is_reported_with_time_and_reason() {
    let fake = host(on("json", &Script::new().stderr(RUNNING).stdout(JSON).exit(101)));
    let failure = fake.call(test).unwrap_err();

    assert_eq!(failure.code, "tests-failed");
    assert_eq!(failure.message, "1 of 2 tests failed: rounds");
    assert_eq!(shown(&fake), ["shop: adds passed", "shop: rounds failed"]);
    assert_eq!(fake.cases()[0].time.unwrap().as_millis(), 250);
    assert_eq!(fake.cases()[1].message.as_deref(), Some("wrong sum\nat `src/price.rs:3:9`"));
    assert_eq!(fake.output("passed").as_deref(), Some("1"));
    assert_eq!(fake.output("failed").as_deref(), Some("1"));
    assert_eq!(fake.output("skipped").as_deref(), Some("0"));
    let report = String::from_utf8(fake.artifact("junit.xml").unwrap()).unwrap();
    assert!(report.contains("<failure message=\"wrong sum\">"), "{report}");
}

#[test]
fn the_compiler_never_sees_the_variable_that_unlocks_json() {
    let fake = host(on("json", &Script::new().stderr(RUNNING).stdout(JSON).exit(101)));
    fake.call(test).unwrap_err();
    for command in fake.commands() {
        assert!(command.env.iter().all(|(name, _)| name != "RUSTC_BOOTSTRAP"));
        let has_runner = command.env.iter().any(|(name, value)| {
            name == "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER" && value == "/usr/bin/env RUSTC_BOOTSTRAP=1"
        });
        assert_eq!(has_runner, job(&command) == "json");
    }
}

#[test]
fn programs_that_do_not_speak_json_are_read_as_text() {
    let refused = Script::new().stderr("error: the option `Z` is only accepted on the nightly compiler\n").exit(1);
    let fake = host(on("json", &refused));
    fake.call(test).unwrap();
    assert_eq!(shown(&fake), ["shop: adds passed"]);
    assert!(fake.logged("do not speak JSON"));
}

#[test]
fn text_can_be_asked_for() {
    let fake = host(|_| None).config(json!({"text": true, "args": ["add"], "report": false}));
    fake.call(test).unwrap();
    let jobs: Vec<_> = fake.commands().iter().map(job).collect();
    assert_eq!(jobs, ["compile", "text"]);
    assert_eq!(fake.commands()[1].args.join(" "), "test --tests --no-fail-fast -- add");
    assert!(fake.artifacts().is_empty());
}

#[test]
fn documentation_is_tested_where_there_is_a_library() {
    let fake = host(on("compile", &Script::new().stdout(LIBRARY)));
    fake.call(test).unwrap();
    assert_eq!(shown(&fake), ["shop (documentation): src/lib.rs - add (line 2) passed"]);
}

/// What cargo prints when rustdoc does not start.
const NO_RUSTDOC: &str = "   Doc-tests shop\nrustdoc: error while loading shared libraries: librustc_driver.so: cannot open \
                          shared object file\nerror: doctest failed, to rerun pass `--doc`\n";

/// A host whose package is a library, with a cargo that does this for its documentation.
fn library(documentation: Script) -> Fake {
    host(move |job| match job {
        "compile" => Some(Script::new().stdout(LIBRARY)),
        "documentation" => Some(documentation.clone()),
        _ => None,
    })
}

#[test]
fn documentation_that_cannot_be_tested_is_named() {
    let failure = library(Script::new().stderr(NO_RUSTDOC).exit(101)).call(test).unwrap_err();
    assert_eq!(failure.code, "no-doc-tests");
    assert!(
        failure.message.contains("tests in the documentation") && failure.message.contains("librustc_driver.so"),
        "{failure}"
    );
    assert!(failure.get("advice").unwrap().contains("doctest = false"));

    let missing = "error: could not execute process `rustdoc --test` (never executed)\n";
    let failure = library(Script::new().stderr(missing).exit(101)).call(test).unwrap_err();
    assert!(failure.message.ends_with("could not execute process `rustdoc --test` (never executed)"), "{failure}");
}

#[test]
fn documentation_whose_tests_fail_is_no_missing_rustdoc() {
    let failed = "running 1 test\ntest src/lib.rs - add (line 2) ... FAILED\ntest result: FAILED. 0 passed; 1 failed\n";
    let failure = library(Script::new().stderr("   Doc-tests shop\n").stdout(failed).exit(101)).call(test).unwrap_err();
    assert_eq!(failure.code, "tests-failed");
}

#[test]
fn what_poses_as_an_option_is_refused_before_cargo_is_asked() {
    for (setting, value) in
        [("package", json!("--config=evil")), ("features", json!(["--all-features"])), ("directory", json!("../other"))]
    {
        let fake = host(|_| None).config(json!({ setting: value }));
        let failure = fake.call(test).unwrap_err();
        assert!(failure.code == "invalid-config" && failure.message.contains(setting), "{failure}");
        assert!(fake.commands().is_empty(), "{setting}");
    }
    let sound = json!({"package": "shop", "features": ["a"], "directory": "app"});
    host(|_| None).file("app/Cargo.toml", "").config(sound).call(test).unwrap();
}

#[test]
fn a_name_may_come_after_the_first_results() {
    let begun = "{\"type\":\"suite\",\"event\":\"started\"}\n";
    let ended = "{\"type\":\"test\",\"event\":\"ok\",\"name\":\"a\"}\n";
    let end = "{\"type\":\"suite\",\"event\":\"ok\",\"passed\":1}\n";
    let second = RUNNING.replace("shop-0f", "cart-0f");
    let script = Script::new()
        .stdout(begun)
        .stderr(RUNNING)
        .stdout(format!("{ended}{end}{begun}{ended}"))
        .stderr(second)
        .stdout(end)
        .stdout(format!("{begun}{ended}{end}"));
    let fake = host(on("json", &script));
    fake.call(test).unwrap();
    assert_eq!(shown(&fake), ["shop: a passed", "cart: a passed", "tests: a passed"]);
}

#[test]
fn many_tests_are_reported_in_batches() {
    let mut output = String::from("{\"type\":\"suite\",\"event\":\"started\"}\n");
    for number in 0..250 {
        output.push_str(&format!("{{\"type\":\"test\",\"event\":\"ok\",\"name\":\"t{number}\"}}\n"));
    }
    let fake = host(on("json", &Script::new().stderr(RUNNING).stdout(output)));
    fake.call(test).unwrap();
    assert_eq!(fake.cases().len(), 250);
    assert_eq!(fake.case_batches(), 3);
}

#[test]
fn only_the_first_failures_are_named() {
    let output: String = (1..=7)
        .map(|number| format!("{{\"type\":\"test\",\"event\":\"failed\",\"name\":\"t{number}\",\"stdout\":\"\"}}\n"))
        .collect();
    let output = format!("{{\"type\":\"suite\",\"event\":\"started\"}}\n{output}");
    let fake = host(on("json", &Script::new().stderr(RUNNING).stdout(output).exit(101)));
    assert_eq!(fake.call(test).unwrap_err().message, "7 of 7 tests failed: t1, t2, t3, t4, t5, …");
}

#[test]
fn a_compile_error_is_no_failed_test() {
    let script = Script::new().stderr("error[E0425]: cannot find value\n --> src/lib.rs:3:1\n").exit(101);
    let fake = host(on("compile", &script));
    let failure = fake.call(test).unwrap_err();
    assert_eq!(failure.code, "build-failed");
    assert!(failure.message.ends_with("cannot find value at `src/lib.rs:3`"), "{failure}");
}

#[test]
fn a_program_that_crashes_fails_the_stage() {
    let begun = "{\"type\":\"suite\",\"event\":\"started\"}\n";
    let fake = host(on("json", &Script::new().stderr(RUNNING).stdout(begun).exit(101)));
    let failure = fake.call(test).unwrap_err();
    assert_eq!(failure.to_string(), "`cargo test` ended with status 101 although no test failed (tests-failed)");
}

#[test]
fn no_tests_are_a_warning() {
    let fake = host(|_| None);
    fake.call(test).unwrap();
    assert!(fake.logged("there are no tests"));
}

#[test]
fn without_the_grant_the_refusal_is_the_failure() {
    let fake = host(|_| None).without("tools", "rust");
    assert_eq!(fake.call(test).unwrap_err().code, "not-granted");
}
