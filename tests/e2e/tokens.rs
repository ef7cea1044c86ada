//! Tokens of each role, and a worker of its own that holds one.

use crate::support::{Repository, Server, slipway, stage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a worker may take to end once it is refused.
const REFUSED: Duration = Duration::from_secs(20);

fn ask(server: &Server, args: &[&str]) -> Command {
    let mut command = slipway();
    command.args(args).env("SLIPWAY_SERVER", &server.api).env("SLIPWAY_TOKEN", &server.token);
    command
}

/// Makes a token by the command line, into a file.
fn token(server: &Server, role: &str, name: &str) -> PathBuf {
    let made = ask(server, &["token", "create", "--role", role, "--name", name]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    assert!(text.starts_with("slw_") && text.lines().count() == 1, "{text}");
    let file = server.folder().join(format!("{name}.token"));
    std::fs::write(&file, text).unwrap();
    file
}

/// A worker as it is started on another machine.
fn worker(server: &Server, token: &Path, name: &str) -> Child {
    slipway()
        .args(["worker", "--control", &server.api, "--slots", "2", "--token-file"])
        .arg(token)
        .arg("--data")
        .arg(server.folder().join(name))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end of a worker that is refused, and returns its code and what it said.
fn ended(mut worker: Child) -> (i32, String) {
    let until = Instant::now() + REFUSED;
    while worker.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            worker.kill().unwrap();
            panic!("the worker goes on");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = worker.wait_with_output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_its_own_runs_a_pipeline_until_its_token_is_revoked() {
    let server = Server::start_with(&["--worker-slots", "0"]);
    let (status, ready) = server.request("GET", "/readyz", None).await;
    assert_eq!((status, &ready["workers"]), (503, &json!(0)), "{ready}");
    let file = token(&server, "worker", "build-2");
    let worker = worker(&server, &file, "remote");
    let pipeline = "name = \"remote\"\n[stages.build]\nuses = \"./plugins/noop_build.wasm\"
        [stages.test]\nneeds = [\"build\"]\nuses = \"./plugins/noop_test.wasm\"";
    let repository = Repository::with(pipeline, &["noop_build", "noop_test"]);
    server.add("remote", repository.path()).await;
    let run = server.run("remote", "v1.0.0").await;
    assert_eq!(run["state"], "passed", "{run:#}");
    let by = stage(&run, "test")["attempts"][0]["worker"].as_str().unwrap();
    assert!(by.starts_with("build-2/worker-"), "{by}");

    let revoked = ask(&server, &["token", "revoke", "build-2"]).output().unwrap();
    assert!(revoked.status.success());
    let (code, said) = ended(worker);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("does not know this worker's token: it is wrong, or was revoked"), "{said}");
    assert!(said.contains("hint: `slipway token create --role worker"), "{said}");
}

#[test]
fn a_worker_with_another_token_ends_with_the_reason() {
    let server = Server::start_with(&["--worker-slots", "0"]);
    let wrong = server.folder().join("wrong.token");
    std::fs::write(&wrong, "slw_0123\n").unwrap();
    let (code, said) = ended(worker(&server, &wrong, "a"));
    assert!(code == 1 && said.contains("it is wrong, or was revoked"), "{code} {said}");
    let (code, said) = ended(worker(&server, &token(&server, "reader", "looker"), "b"));
    assert!(code == 1 && said.contains("not one of role `worker`"), "{code} {said}");
    std::fs::write(&wrong, "").unwrap();
    let (code, said) = ended(worker(&server, &wrong, "c"));
    assert!(code == 2 && said.contains("there is no token in"), "{code} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_its_own_part_and_no_more() {
    let server = Server::start();
    let file = token(&server, "reader", "looker");
    let read = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let asked = |method: &'static str, path: &'static str, token: String| {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", server.api));
        async move { request.bearer_auth(token).send().await.unwrap().status().as_u16() }
    };
    let work = std::fs::read_to_string(token(&server, "worker", "build-2")).unwrap().trim().to_owned();
    for (method, path, reader, worker) in [
        ("GET", "/v1/runs", 200, 403),
        ("GET", "/v1/tokens", 403, 403),
        ("POST", "/v1/tokens", 403, 403),
        ("DELETE", "/v1/tokens/looker", 403, 403),
        ("POST", "/v1/apps/x/rollback", 403, 403),
        ("GET", "/worker/v1/components/sha256:0", 403, 400),
    ] {
        assert_eq!(asked(method, path, read.clone()).await, reader, "reader: {method} {path}");
        let status = asked(method, path, work.clone()).await;
        assert!(
            status == worker || (worker == 400 && status != 401 && status != 403),
            "worker: {method} {path}: {status}"
        );
    }
    // Known by name and role, and nothing secret.
    let listed = server.get("/v1/tokens").await;
    let names: Vec<&str> =
        listed["tokens"].as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bootstrap", "build-2", "looker"]);
    assert!(!listed.to_string().contains(&read));
    for name in ["slipway.db", "slipway.db-wal"] {
        let bytes = std::fs::read(server.data().join(name)).unwrap_or_default();
        assert!(!bytes.windows(read.len()).any(|window| window == read.as_bytes()), "the token is stored in {name}");
    }
    let create = |body: Value| server.request("POST", "/v1/tokens", Some(body));
    for (body, status, code) in [
        (json!({ "name": "looker", "role": "reader" }), 409, "name-taken"),
        (json!({ "name": "embedded", "role": "worker" }), 409, "name-taken"),
        (json!({ "name": "A b", "role": "worker" }), 400, "invalid-name"),
        (json!({ "name": "x", "role": "root" }), 400, "invalid-body"),
        (json!({ "name": "x" }), 400, "invalid-body"),
    ] {
        let (found, problem) = create(body).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{problem}");
    }
    let (status, _) = server.request("DELETE", "/v1/tokens/looker", None).await;
    assert_eq!(status, 200);
    assert_eq!(asked("GET", "/v1/runs", read.clone()).await, 401);
    let (status, problem) = server.request("DELETE", "/v1/tokens/bootstrap", None).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("last-admin")), "{problem}");
    assert_eq!(asked("GET", "/v1/runs", server.token.clone()).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_readers_token_is_revoked() {
    let server = Server::start();
    let read = std::fs::read_to_string(token(&server, "reader", "looker")).unwrap().trim().to_owned();
    let pipeline = "name = \"slow\"\n[stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 60 }";
    let repository = Repository::with(pipeline, &["slow"]);
    server.add("slow", repository.path()).await;
    let id = server.trigger("slow", "main").await;
    let mut streams = Vec::new();
    for way in ["logs/stream", "events"] {
        let request = reqwest::Client::new().get(format!("{}/v1/runs/{id}/{way}", server.api)).bearer_auth(&read);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        streams.push(tokio::spawn(response.text()));
    }
    let (status, _) = server.request("DELETE", "/v1/tokens/looker", None).await;
    assert_eq!(status, 200);
    for stream in streams {
        let told = tokio::time::timeout(REFUSED, stream).await.expect("it ends").unwrap().unwrap();
        assert!(!told.contains("event: end"), "the run goes on: {told}");
    }
    server.request("POST", &format!("/v1/runs/{id}/cancel"), None).await;
}
