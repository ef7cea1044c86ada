//! The fake behaves as the contract says, and so does the SDK on it.

use std::io::Write as _;
use std::time::Duration;

use super::*;
use crate::apps as sdk_apps;
use crate::artifacts as sdk_artifacts;
use crate::tools::{Event, Exit, Output, Stream, command};
use crate::{json, log, reports, run, secrets, workspace};

fn code<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    result.expect_err("the call should be refused").code
}

#[test]
fn a_run_tells_its_facts() {
    let fake = Fake::new()
        .stage("build")
        .attempt(2)
        .version("1.2.3")
        .environment("production")
        .parameter("colour", "blue")
        .remaining(Duration::from_secs(5))
        .cancelled();
    fake.run(|| {
        assert_eq!(run::stage(), "build");
        assert_eq!(run::attempt(), 2);
        assert_eq!(run::version().as_deref(), Some("1.2.3"));
        assert_eq!(run::reference(), "refs/tags/v1.2.3");
        assert_eq!(run::environment().as_deref(), Some("production"));
        assert_eq!(run::parameter("colour").as_deref(), Some("blue"));
        assert_eq!(run::parameter("size"), None);
        assert_eq!(run::remaining(), Duration::from_secs(5));
        assert!(run::cancelled());
        assert_eq!(run::revision().len(), 40);
        assert!(!run::id().is_empty() && !run::pipeline().is_empty());
    });
}

#[test]
fn the_configuration_reaches_the_stage_and_a_wrong_one_does_not() {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Config {
        count: u8,
    }
    let stage = |config: Config| run::set_output("count", config.count);
    let fake = Fake::new().config(json!({"count": 7}));
    fake.call(stage).unwrap();
    assert_eq!(fake.output("count").as_deref(), Some("7"));

    let failure = Fake::new().config(json!({"count": 700})).call(stage).unwrap_err();
    assert_eq!(failure.code, "invalid-config");
    assert_eq!(failure.get("path"), Some("with.count"));
}

#[test]
fn outputs_are_limited() {
    let fake = Fake::new();
    fake.run(|| {
        run::set_output("a", 1).unwrap();
        run::set_output("a", 2).unwrap();
        assert_eq!(code(run::set_output("a/b", 1)), "invalid-name");
        assert_eq!(code(run::set_output("b", "x".repeat(64 * 1024 + 1))), "too-large");
        for number in 1..256 {
            run::set_output(&format!("o{number}"), number).unwrap();
        }
        assert_eq!(code(run::set_output("one-more", 1)), "too-many");
        run::set_output("a", 3).unwrap();
    });
    assert_eq!(fake.output("a").as_deref(), Some("3"));
}

#[test]
fn inputs_are_those_that_the_stage_needs() {
    let fake = Fake::new().input_output("build", "count", "3").input_artifact(
        "build",
        "app.wasm",
        "application/wasm",
        b"\0asm",
    );
    fake.run(|| {
        assert_eq!(run::input("build", "count").unwrap().as_deref(), Some("3"));
        assert_eq!(run::input("build", "size").unwrap(), None);
        assert_eq!(run::inputs(), ["build"]);
        assert_eq!(code(run::input("other", "count")), "not-an-input");
        let artifacts = sdk_artifacts::inputs("build").unwrap();
        assert_eq!(artifacts[0].size, 4);
        assert_eq!(sdk_artifacts::read_all(&artifacts[0].digest).unwrap(), b"\0asm");
        assert_eq!(std::fs::read(workspace::input("build", "app.wasm")).unwrap(), b"\0asm");
        assert_eq!(code(sdk_artifacts::inputs("other")), "not-an-input");
    });
}

#[test]
fn what_a_phase_leaves_is_read_by_the_stage_s_own_name() {
    let fake = Fake::new();
    fake.plan(|| run::set_output("before", 1)).unwrap();
    fake.call(|| sdk_artifacts::put("note", "text/plain", b"x").map(drop)).unwrap();
    fake.run(|| {
        assert_eq!(run::input(&run::stage(), "before").unwrap().as_deref(), Some("1"));
        assert_eq!(sdk_artifacts::inputs(&run::stage()).unwrap()[0].name, "note");
        assert!(run::inputs().is_empty());
    });
}

#[test]
fn logs_have_levels_and_fields() {
    let fake = Fake::new();
    fake.run(|| {
        let name = "shop";
        crate::info!("building {name}");
        crate::warn!(package = name, tries = 1 + 1; "slow: {}", 7);
        crate::debug!("{name}", name = 3);
        crate::error!("end");
    });
    let log = fake.log();
    assert_eq!(log[0].message, "building shop");
    assert_eq!(log[0].level, log::Level::Info);
    assert_eq!(log[1].message, "slow: 7");
    assert_eq!(log[1].fields, [("package".into(), "shop".into()), ("tries".into(), "2".into())]);
    assert_eq!(log[2].message, "3");
    assert_eq!(log[3].level, log::Level::Error);
    assert!(fake.logged("slow") && !fake.logged("fast"));
}

#[test]
fn a_log_without_a_host_goes_to_standard_error() {
    crate::info!("nobody listens");
}

#[test]
fn a_step_ends_when_it_is_dropped() {
    let fake = Fake::new();
    fake.run(|| {
        let step = log::step("compile");
        step.progress(1, Some(3));
        step.progress(2, Some(3));
        drop(step);
        let result = log::Step::within("link", |_| Err::<(), _>(Failure::new("x", "no linker")));
        assert_eq!(code(result), "x");
    });
    let steps = fake.steps();
    assert_eq!(steps[0].progress, Some((2, Some(3))));
    assert!(steps[0].ended && steps[0].failed.is_none());
    assert_eq!(steps[1].failed.as_deref(), Some("no linker"));
}

#[test]
fn an_artifact_is_hashed_by_the_host_and_named_once() {
    let fake = Fake::new().file("out/a.txt", b"abc");
    fake.run(|| {
        let artifact = sdk_artifacts::put("a", "text/plain", b"abc").unwrap();
        assert_eq!(artifact.digest, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(code(sdk_artifacts::put("a", "text/plain", b"other")), "exists");
        for name in ["", "../a", "a/b", ".a", "a\\b", "a\n"] {
            assert_eq!(code(sdk_artifacts::put(name, "text/plain", b"")), "invalid-name");
        }
        let same = sdk_artifacts::put_file("b", "text/plain", "out/a.txt").unwrap();
        assert_eq!(same.digest, artifact.digest);
        for path in ["out/none", "../../etc/passwd", "/etc/passwd", "out"] {
            assert_eq!(code(sdk_artifacts::put_file("c", "text/plain", path)), "no-such-file");
        }
        let large = vec![0; sdk_artifacts::BYTES_MAX + 1];
        assert_eq!(code(sdk_artifacts::put("d", "text/plain", &large)), "too-large");
    });
    assert_eq!(fake.artifacts().len(), 2);
    assert_eq!(fake.artifact("b").unwrap(), b"abc");
}

#[test]
fn an_artifact_can_be_written_in_pieces() {
    let fake = Fake::new();
    fake.run(|| {
        let mut writer = sdk_artifacts::create("a", "text/plain").unwrap();
        write!(writer, "one {}", 2).unwrap();
        writer.append(&vec![b'x'; sdk_artifacts::BYTES_MAX + 1]).unwrap();
        let artifact = writer.finish().unwrap();
        assert_eq!(artifact.size, 5 + 4 * 1024 * 1024 + 1);
        assert_eq!(sdk_artifacts::read(&artifact.digest, 0, 5).unwrap(), b"one 2");
        assert_eq!(sdk_artifacts::read(&artifact.digest, artifact.size, 5).unwrap(), b"");
        assert_eq!(sdk_artifacts::read_all(&artifact.digest).unwrap().len(), 4_194_310);

        let again = sdk_artifacts::put("c", "text/plain", b"c").unwrap();
        assert_eq!(sdk_artifacts::put("c", "text/plain", b"c").unwrap(), again, "the same again is no error");
        for media_type in ["text", "", "a/b/c", "text/\n"] {
            assert_eq!(code(sdk_artifacts::create("d", media_type)), "invalid-media-type");
        }
        let writers: Vec<_> = (0..16).map(|_| sdk_artifacts::create("d", "text/plain").unwrap()).collect();
        assert_eq!(code(sdk_artifacts::create("d", "text/plain")), "too-many");
        drop(writers);
        drop(sdk_artifacts::create("b", "text/plain").unwrap());
        assert_eq!(code(sdk_artifacts::read("sha256:00", 0, 5)), "unknown-artifact");
    });
    assert_eq!(fake.artifacts().len(), 2);
}

#[test]
fn artifacts_can_be_withdrawn() {
    let fake = Fake::new().without("artifacts", "");
    fake.run(|| {
        assert_eq!(code(sdk_artifacts::put("a", "text/plain", b"")), "not-granted");
        assert_eq!(code(sdk_artifacts::create("a", "text/plain")), "not-granted");
    });
}

#[test]
fn a_tool_follows_its_script() {
    let fake = Fake::new().file("sub/Cargo.toml", "").tool("rust", "cargo", |command| {
        Script::new()
            .stdout(format!("{}\n", command.args.join("+")))
            .stderr("warn")
            .stdout(command.stdin.clone())
            .exit(3)
    });
    fake.run(|| {
        let cargo =
            command("rust", "cargo").arg("build").args(["-p", "shop"]).env("A", "b").directory("sub").stdin("in");
        let captured = cargo.capture().unwrap();
        assert_eq!(captured.stdout, b"build+-p+shop\nin");
        assert_eq!(captured.exit.code, Some(3));
        let failure = captured.exit.check("cargo build").unwrap_err();
        assert_eq!(failure.to_string(), "`cargo build` ended with status 3 (tool-failed)");
        assert_eq!(failure.get("status"), Some("3"));

        let mut process = cargo.start().unwrap();
        let lines: Vec<_> = process.lines().collect();
        assert_eq!(lines[0].text, "build+-p+shop");
        assert_eq!(lines[2].stream, Stream::Stderr);
        assert!(!process.wait().unwrap().success());
    });
    assert_eq!(fake.commands().len(), 2);
    assert_eq!(fake.commands()[0].env, [("A".to_owned(), "b".to_owned())]);
}

#[test]
fn a_tool_that_is_not_there_or_not_granted_is_refused() {
    let fake = Fake::new()
        .grant("tools", "go")
        .tool("rust", "cargo", |_| Script::new())
        .tool("node", "npm", |_| Script::refused(Failure::new("sandbox-unavailable", "no user namespaces")));
    fake.run(|| {
        assert!(command("rust", "cargo").run().unwrap().success());
        assert_eq!(code(command("python", "pip").run()), "not-granted");
        assert_eq!(code(command("go", "go").run()), "unknown-tool");
        assert_eq!(code(command("rust", "rustup").run()), "unknown-program");
        assert_eq!(code(command("node", "npm").run()), "sandbox-unavailable");
        for directory in ["..", "/", "none"] {
            let result = command("rust", "cargo").directory(directory).run();
            assert_eq!(code(result), "invalid-directory");
        }
    });
    let fake = Fake::new().tool("rust", "cargo", |_| Script::new()).without("tools", "rust");
    assert_eq!(fake.run(|| code(command("rust", "cargo").run())), "not-granted");
}

#[test]
fn a_killed_process_ends_by_a_signal() {
    let fake = Fake::new().tool("rust", "cargo", |_| Script::new().stdout("a").stdout("b"));
    fake.run(|| {
        let mut process = command("rust", "cargo").start().unwrap();
        assert_eq!(process.next().unwrap().bytes, b"a");
        process.kill();
        assert_eq!(process.next(), None);
        let exit = process.wait().unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
        let failure = exit.check("cargo").unwrap_err();
        assert_eq!(failure.message, "`cargo` was ended by signal 9");
    });
    assert_eq!(Exit::default().check("x").unwrap_err().message, "`x` did not end by itself");
}

#[test]
fn a_silent_process_is_looked_at_without_waiting() {
    let fake = Fake::new()
        .tool("rust", "cargo", |_| Script::new().stdout("a").hangs())
        .tool("rust", "rustc", |_| Script::new().stdout("b"));
    fake.run(|| {
        let (mut silent, mut other) =
            (command("rust", "cargo").start().unwrap(), command("rust", "rustc").start().unwrap());
        let output = |bytes: &[u8]| Some(Event::Output(Output { stream: Stream::Stdout, bytes: bytes.to_vec() }));
        assert_eq!(silent.next_within(Duration::ZERO).unwrap(), output(b"a"));
        assert_eq!(silent.next_within(Duration::ZERO).unwrap(), None);
        assert_eq!(other.next_within(Duration::ZERO).unwrap(), output(b"b"));
        for _ in 0..2 {
            assert_eq!(other.next_within(Duration::ZERO).unwrap(), Some(Event::Ended));
        }
        assert!(other.wait().unwrap().success());
        silent.kill();
        assert_eq!(silent.next(), None);
        assert_eq!(silent.wait().unwrap().signal, Some(9));
    });
}

#[test]
fn a_process_that_is_lost_is_not_one_that_has_ended() {
    let fake = Fake::new().tool("rust", "cargo", |_| Script::new().stdout("a").lost());
    fake.run(|| {
        let mut process = command("rust", "cargo").start().unwrap();
        assert_eq!(process.lines().count(), 1);
        assert_eq!(code(process.wait()), "tool-lost");
        let mut process = command("rust", "cargo").start().unwrap();
        assert_eq!(process.next().unwrap().bytes, b"a");
        assert_eq!(code(process.next_within(Duration::ZERO)), "tool-lost");
        assert_eq!(code(command("rust", "cargo").capture()), "tool-lost");
    });
}

#[test]
fn nobody_waits_for_a_process_of_a_cancelled_run() {
    let fake = Fake::new().cancelled().tool("rust", "cargo", |_| Script::new().hangs());
    fake.run(|| {
        let mut process = command("rust", "cargo").start().unwrap();
        assert_eq!(process.lines().count(), 0);
        assert_eq!(code(process.wait()), "cancelled");
        assert_eq!(code(command("rust", "cargo").run()), "cancelled");
    });
}

#[test]
fn tests_are_reported_in_batches_up_to_a_limit() {
    let fake = Fake::new();
    fake.run(|| {
        reports::test_cases(&[]).unwrap();
        reports::test_cases(&[TestCase::passed("a", "b").time(Duration::from_secs(1))]).unwrap();
        reports::test_cases(&[TestCase::failed("a", "c", "why")]).unwrap();
        let many = vec![TestCase::skipped("a", "d"); 99_999];
        assert_eq!(code(reports::test_cases(&many)), "too-many");
        assert_eq!(code(reports::test_cases(&many[..9_999])), "too-many", "the first calls were taken");
    });
    let taken = fake.cases().len();
    assert!((90_001..=100_000).contains(&taken), "{taken}");
    assert!(fake.case_batches() > 10 && fake.case_batches() < 100, "{}", fake.case_batches());
    assert_eq!(fake.cases()[0].time_us(), Some(1_000_000));
}

#[test]
fn only_a_plan_tells_changes_and_only_an_act_makes_them() {
    let fake = Fake::new().app("shop").input_artifact("build", "a", "application/wasm", b"x");
    let tell = || reports::change("create", "app `shop`", None, Some("1"));
    assert_eq!(code(fake.call(tell)), "not-in-this-phase");
    fake.plan(tell).unwrap();
    assert_eq!(fake.changes().len(), 1);

    let release = || {
        let digest = sdk_artifacts::inputs("build")?[0].digest.clone();
        sdk_apps::release("shop", &digest).map(drop)
    };
    assert_eq!(code(fake.plan(release)), "not-in-this-phase");
    assert_eq!(code(fake.plan(|| sdk_apps::switch("x"))), "not-in-this-phase");
    assert_eq!(code(fake.plan(|| sdk_apps::restore("shop").map(drop))), "not-in-this-phase");
    fake.call(release).unwrap();
}

#[test]
fn a_secret_is_a_handle() {
    let fake = Fake::new().secret("token").grant("secrets", "lost");
    fake.run(|| {
        assert_eq!(secrets::open("token").unwrap().name(), "token");
        assert_eq!(code(secrets::open("lost")), "unknown-secret");
        assert_eq!(code(secrets::open("other")), "not-granted");
    });
}

#[test]
fn an_app_gets_traffic_only_after_a_healthy_answer() {
    let fake = Fake::new()
        .version("2.0.0")
        .app_running("shop", "1.0.0", b"old")
        .input_artifact("build", "shop.wasm", "application/wasm", b"new")
        .input_artifact("build", "notes.txt", "text/plain", b"notes");
    fake.run(|| {
        let inputs = sdk_artifacts::inputs("build").unwrap();
        let candidate = sdk_apps::release("shop", &inputs[0].digest).unwrap();
        assert_eq!(candidate.version, "2.0.0");
        assert_eq!(sdk_apps::release("shop", &inputs[0].digest).unwrap(), candidate);
        assert_eq!(code(sdk_apps::release("shop", &inputs[1].digest)), "not-an-app");
        assert_eq!(code(sdk_apps::release("shop", "sha256:00")), "unknown-artifact");
        assert_eq!(code(sdk_apps::release("other", &inputs[0].digest)), "not-granted");

        assert_eq!(code(sdk_apps::switch(&candidate.id)), "not-healthy");
        assert_eq!(code(sdk_apps::switch("none")), "unknown-release");
        let within = Duration::from_secs(1);
        assert!(sdk_apps::health(&candidate.id, "/health", within).unwrap().healthy);
        sdk_apps::switch(&candidate.id).unwrap();
        assert_eq!(sdk_apps::current("shop").unwrap(), Some(candidate));
        assert_eq!(sdk_apps::address("shop").unwrap(), "http://shop.localhost/");

        let restored = sdk_apps::restore("shop").unwrap().unwrap();
        assert_eq!(restored.version, "1.0.0");
    });
    assert_eq!(fake.current("shop").unwrap().version, "1.0.0");
    assert_eq!(fake.health_checks(), [("shop-candidate-1".into(), "/health".into(), 1000)]);
}

#[test]
fn an_unhealthy_answer_is_an_answer() {
    let fake = Fake::new().app("shop").input_artifact("build", "shop.wasm", "application/wasm", b"new").health(
        |release, path| Health {
            healthy: false,
            status: 503,
            message: format!("{} {path}", release.id),
            time: Duration::ZERO,
            details: Vec::new(),
        },
    );
    fake.run(|| {
        let digest = sdk_artifacts::inputs("build").unwrap()[0].digest.clone();
        let candidate = sdk_apps::release("shop", &digest).unwrap();
        let health = sdk_apps::health(&candidate.id, "/", Duration::ZERO).unwrap();
        assert_eq!((health.healthy, health.status), (false, 503));
        assert_eq!(code(sdk_apps::switch(&candidate.id)), "not-healthy");
        assert_eq!(code(sdk_apps::health("none", "/", Duration::ZERO)), "unknown-release");
        assert_eq!(sdk_apps::restore("shop").unwrap(), None);
    });
}

#[test]
#[should_panic(expected = "a host should be in place")]
fn a_call_without_a_host_says_what_to_do() {
    drop(run::id());
}

#[test]
fn a_request_is_sent_with_its_secret_and_only_where_it_was_granted() {
    let fake = Fake::new().secret("token").http("POST", "https://hooks.test/", |request| crate::http::Response {
        status: if request.body == b"done" { 204 } else { 400 },
        ..crate::http::Response::default()
    });
    let notify = |url: &str| {
        let token = secrets::open("token")?;
        crate::http::post(url).bearer(&token).body("done").send()?.check()
    };
    fake.run(|| notify("https://hooks.test/deploys")).unwrap();
    let sent = fake.requests();
    assert_eq!(sent[0].headers, [("authorization".to_owned(), "Bearer {token}".to_owned())]);
    assert_eq!(fake.run(|| notify("https://elsewhere.test/")).unwrap_err().code, "not-granted");
    let fake = fake.without("http", "POST https://hooks.test/");
    assert_eq!(fake.run(|| notify("https://hooks.test/deploys")).unwrap_err().code, "not-granted");
    let planned = Fake::new().http("*", "https://hooks.test/", |_| crate::http::Response::default());
    let refused = planned.plan(|| crate::http::post("https://hooks.test/").send().map(drop)).unwrap_err();
    assert_eq!(refused.code, "not-in-this-phase");
    assert_eq!(
        planned.call(|| crate::http::get("https://hooks.test/").send()?.check().map(drop)).unwrap_err().code,
        "http-status"
    );
}

#[test]
fn a_program_gets_secrets_that_the_stage_does_not_see() {
    let fake = Fake::new().secret("token").tool("node", "npm", |_| Script::new());
    let publish = || {
        let token = secrets::open("token")?;
        assert_eq!(token.read().unwrap_err().code, "not-granted");
        let npm = command("node", "npm").arg("publish");
        npm.secret_env("NPM_TOKEN", &token).secret_file("npmrc", &token).run()?.check("npm")?;
        Ok::<(), Failure>(())
    };
    fake.run(publish).unwrap();
    let places: Vec<String> = fake.given_secrets().into_iter().map(|given| given.place).collect();
    assert_eq!(places, ["env NPM_TOKEN", "file npmrc"]);
    let reading = Fake::new().secret_to_read("key", "value");
    assert_eq!(reading.run(|| secrets::open("key").unwrap().read()).unwrap(), b"value");
}
