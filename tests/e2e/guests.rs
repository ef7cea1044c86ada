//! One small guest a behaviour, each with what the host makes of it.

use crate::support::{Repository, Server, stage};
use serde_json::Value;

/// Runs one guest as the only stage and returns the run.
async fn only(server: &Server, guest: &str, more: &str) -> Value {
    let name = guest.replace('_', "-");
    let pipeline = format!("name = \"{name}\"\n[stages.only]\nuses = \"./plugins/{guest}.wasm\"\n{more}");
    let repository = Repository::with(&pipeline, &[guest]);
    server.add(&name, repository.path()).await;
    let run = server.run(&name, "v1.0.0").await;
    // Whatever it did, the host goes on.
    let after =
        Repository::with("name = \"after\"\n[stages.only]\nuses = \"./plugins/noop_build.wasm\"", &["noop_build"]);
    server.add("after", after.path()).await;
    let next = server.run("after", "main").await;
    assert_eq!(next["state"], "passed", "after {guest}: {next:#}");
    run
}

fn fault(run: &Value) -> (&str, &str) {
    let fault = &stage(run, "only")["fault"];
    (fault["code"].as_str().unwrap_or("none"), fault["message"].as_str().unwrap_or_default())
}

/// What the only attempt of the only stage took.
fn metering(run: &Value) -> &Value {
    &stage(run, "only")["attempts"][0]["metering"]
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_once() {
    let server = Server::start();
    let asked = only(&server, "asks_once", "").await;
    let (first, wall) = (metering(&asked)["first_call_us"].as_u64(), metering(&asked)["wall_us"].as_u64());
    assert!(first.is_some() && first <= wall, "{asked:#}");
    let silent = only(&server, "noop_build", "").await;
    assert!(metering(&silent)["first_call_us"].is_null(), "it has asked nothing: {silent:#}");
    assert!(metering(&silent)["wall_us"].is_u64(), "{silent:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spins_forever() {
    let server = Server::start();
    let run = only(&server, "spins_forever", "timeout_seconds = 1").await;
    assert_eq!((run["state"].as_str(), fault(&run).0), (Some("errored"), "deadline"), "{run:#}");
    assert_eq!(only(&server, "noop_build", "").await["state"], "passed", "the host goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn sleeps_forever() {
    let server = Server::start();
    let run = only(&server, "sleeps_forever", "timeout_seconds = 1").await;
    assert_eq!(fault(&run), ("deadline", "the stage did not end within its 1 s"), "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eats_memory() {
    let server = Server::start();
    let run = only(&server, "eats_memory", "memory_mib = 64").await;
    assert_eq!(fault(&run), ("limit", "the stage reached its limit of 64 MiB of memory"), "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recurses() {
    let server = Server::start();
    let run = only(&server, "recurses", "").await;
    assert_eq!(fault(&run).0, "limit", "{run:#}");
    assert!(fault(&run).1.contains("stack"), "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn traps() {
    let server = Server::start();
    let run = only(&server, "traps", "").await;
    assert_eq!(fault(&run).0, "trap", "{run:#}");
    let backtrace = stage(&run, "only")["fault"]["backtrace"].as_array().unwrap();
    assert!(!backtrace.is_empty(), "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn panics() {
    let server = Server::start();
    let run = only(&server, "panics", "").await;
    let told = "the stage trapped: panicked at examples/panics.rs:6:5: the build has lost its nerve";
    assert_eq!(fault(&run), ("trap", told), "{run:#}");
    assert_eq!(stage(&run, "only")["fault"]["backtrace"][0], "build", "{run:#}");
    let log = server.log(run["id"].as_str().unwrap()).await;
    assert!(
        log.iter().any(|entry| entry["source"] == "stderr" && entry["message"].as_str().unwrap().contains("panicked"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fails() {
    let server = Server::start();
    let run = only(&server, "fails", "").await;
    assert_eq!(run["state"], "failed", "{run:#}");
    assert!(stage(&run, "only")["failure"]["code"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_log() {
    let server = Server::start();
    let run = only(&server, "floods_log", "").await;
    let id = run["id"].as_str().unwrap();
    let log = server.log(id).await;
    let bytes: usize = log.iter().map(|entry| entry["message"].as_str().unwrap().len()).sum();
    assert!(bytes <= 20 << 20, "{bytes}");
    let cut = log.iter().filter(|entry| entry["source"] == "host").count();
    assert_eq!(cut, 1, "the cut is marked once; the run: {run:#}");
    for (place, entry) in (1..).zip(&log) {
        assert_eq!(entry["seq"], place, "no gap and no repeat");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_workspace() {
    let server = Server::start();
    let run = only(&server, "writes_workspace", "").await;
    assert_eq!(run["state"], "passed", "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_ungranted_secret() {
    let server = Server::start();
    let pipeline = "name = \"nosy\"\n[stages.only]\nuses = \"./plugins/reads_ungranted_secret.wasm\"";
    let repository = Repository::with(pipeline, &["reads_ungranted_secret"]);
    server.add("nosy", repository.path()).await;
    let body = serde_json::json!({ "reference": "main" });
    let (status, problem) = server.request("POST", "/v1/pipelines/nosy/runs", Some(body)).await;
    assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some("missing-grant")), "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_in_plan() {
    let server = Server::start();
    let pipeline = "name = \"early\"
        [stages.build]\nuses = \"./plugins/says_hello.wasm\"
        [stages.deploy]\nneeds = [\"build\"]\nuses = \"./plugins/deploys_in_plan.wasm\"
        with = { app = \"shop\" }\ngrant.apps = [\"shop\"]";
    let repository = Repository::with(pipeline, &["says_hello", "deploys_in_plan"]);
    server.add("early", repository.path()).await;
    let run = server.run("early", "main").await;
    assert_eq!(stage(&run, "deploy")["failure"]["code"], "not-in-this-phase", "{run:#}");
    assert_eq!(stage(&run, "deploy")["phase"], "plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_clock_twice() {
    let server = Server::start();
    let run = only(&server, "asks_clock_twice", "").await;
    assert_eq!(run["state"], "passed", "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stage_leaves_reaches_the_one_that_needs_it() {
    let server = Server::start();
    let pipeline = "name = \"pair\"
        [stages.build]\nuses = \"./plugins/says_hello.wasm\"
        [stages.read]\nneeds = [\"build\"]\nuses = \"./plugins/reads_input.wasm\"";
    let repository = Repository::with(pipeline, &["says_hello", "reads_input"]);
    server.add("pair", repository.path()).await;
    let run = server.run("pair", "main").await;
    assert_eq!(run["state"], "passed", "{run:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_tool() {
    let server = Server::start();
    let tool = |args: &str| {
        format!("with = {{ tool = \"rust\", program = \"cargo\", args = [{args}] }}\ngrant.tools = [\"rust\"]")
    };
    let run = only(&server, "runs_tool", &tool("\"--version\"")).await;
    assert_eq!(run["state"], "passed", "{run:#}");
    let stdout = stage(&run, "only")["outputs"]["stdout"].as_str().unwrap().to_owned();
    assert!(stdout.starts_with("cargo 1."), "{stdout}");
    let metering = &stage(&run, "only")["attempts"][0]["metering"];
    assert!(metering["tool_memory_peak_bytes"].as_u64().unwrap() > 1 << 20, "{metering}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_tool() {
    let server = Server::start();
    let pipeline =
        "name = \"waiting\"\n[stages.only]\nuses = \"./plugins/waits_for_tool.wasm\"\ngrant.tools = [\"rust\"]";
    let repository = Repository::with(pipeline, &["waits_for_tool"]);
    server.add("waiting", repository.path()).await;
    let id = server.trigger("waiting", "main").await;
    let told = async |text: &str| {
        let log = server.log(&id).await;
        log.iter().any(|entry| entry["message"].as_str().unwrap().contains(text))
    };
    for _ in 0..600 {
        if told("cancel me").await || server.get(&format!("/v1/runs/{id}")).await["ended_at"].is_string() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    server.request("POST", &format!("/v1/runs/{id}/cancel"), None).await;
    let run = server.end(&id).await;
    assert_eq!(run["state"], "cancelled", "{run:#}\n{:#?}", server.log(&id).await);
    assert!(told("the wait was over with 0 lines; cancelled: true").await, "{:#?}", server.log(&id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn hands_over() {
    let server = Server::start();
    let run = only(&server, "hands_over", "").await;
    assert_eq!(stage(&run, "only")["failure"]["code"], "as-told", "{run:#}");
    let log = server.log(run["id"].as_str().unwrap()).await;
    assert!(log.iter().any(|entry| entry["message"] == "everything was handed over"), "{run:#}\n{log:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn meets_limits() {
    let server = Server::start();
    let run = only(&server, "meets_limits", "grant.tools = [\"rust\"]").await;
    assert_eq!(run["state"], "passed", "{run:#}");
    let log = server.log(run["id"].as_str().unwrap()).await;
    let longest = log.iter().map(|entry| entry.to_string().len()).max().unwrap();
    assert!(longest < 66 << 10, "{longest}");
    let reports = server.get(&format!("/v1/runs/{}/reports", run["id"].as_str().unwrap())).await;
    let details = &reports["test_cases"][0]["details"];
    assert_eq!((&details["file"], &details["line"]), (&"src/lib.rs".into(), &"7".into()), "{details}");
    assert!(details["stdout"].as_str().unwrap().ends_with("bytes cut)"), "{details}");
    let step = log.iter().find(|entry| entry["level"] == "step").unwrap()["message"].as_str().unwrap();
    assert!(step.len() < 1_100 && step.ends_with("bytes cut)"), "{step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_without_its_grant_is_not_run() {
    let server = Server::start();
    let pipeline = "name = \"greedy\"\n[stages.only]\nuses = \"./plugins/runs_tool.wasm\"\nwith = { tool = \"rust\", program = \"cargo\" }";
    let repository = Repository::with(pipeline, &["runs_tool"]);
    server.add("greedy", repository.path()).await;
    let body = serde_json::json!({ "reference": "main" });
    let (status, problem) = server.request("POST", "/v1/pipelines/greedy/runs", Some(body)).await;
    assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some("missing-grant")), "{problem:#}");
}
