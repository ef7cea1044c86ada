//! The HTTP API: the document, the problems, the limits.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test that meets what it does not expect has failed"
)]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use support::golden::{golden, redact};
use support::{Repository, Server, root, slipway};

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let output = slipway().arg("openapi").output().unwrap();
    let now: Value = serde_json::from_slice(&output.stdout).unwrap();
    let committed = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap_or_default();
    let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
    assert!(
        now == committed,
        "the API has changed: write it down with `slipway openapi > docs/openapi.json`, and look at the difference"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_document_takes_a_token() {
    let server = Server::start();
    let document = reqwest::get(format!("{}/openapi.json", server.api)).await.unwrap().json::<Value>().await.unwrap();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["security"] == json!([{}]) {
                let answer = reqwest::get(format!("{}{path}", server.api)).await.unwrap();
                // A server whose worker has not come yet is alive and not ready.
                let alive = [200, if path == "/readyz" { 503 } else { 200 }];
                assert!(alive.contains(&answer.status().as_u16()), "{path} is open to anybody");
                continue;
            }
            let path = path.replace(['{', '}'], "");
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for token in [None, Some("slw_wrong"), Some("")] {
                let mut request = reqwest::Client::new().request(method.clone(), format!("{}{path}", server.api));
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let response = request.send().await.unwrap();
                assert_eq!(response.status().as_u16(), 401, "{method} {path}");
                assert_eq!(response.headers()["content-type"], "application/problem+json");
            }
            routes += 1;
        }
    }
    assert!(routes >= 15, "{routes}");
    // The token of the API is not one of a worker.
    let request = reqwest::Client::new().get(format!("{}/worker/v1/components/sha256:0", server.api));
    assert_eq!(request.bearer_auth(&server.token).send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_told_as_a_problem() {
    let server = Server::start();
    let repository = Repository::new();
    repository.commit("empty", None);
    server.add("empty", repository.path()).await;
    let long = "x".repeat(2 << 20);
    let mut all = String::new();
    for (method, path, body, status, code) in [
        ("GET", "/v1/nothing", None, 404, "not-found"),
        ("DELETE", "/v1/runs", None, 405, "method-not-allowed"),
        ("GET", "/v1/runs/not-an-id", None, 400, "invalid-id"),
        ("GET", "/v1/runs/00000000000000000000000000", None, 404, "not-found"),
        ("GET", "/v1/runs?limit=many", None, 400, "invalid-query"),
        ("GET", "/v1/runs?limit=0", None, 400, "invalid-query"),
        ("GET", "/v1/runs?limit=201", None, 400, "invalid-query"),
        ("GET", "/v1/runs?limt=2", None, 400, "invalid-query"),
        ("GET", "/v1/apps?page=2", None, 400, "invalid-query"),
        ("GET", "/v1/pipelines/empty/check", None, 400, "invalid-query"),
        ("GET", "/v1/runs/00000000000000000000000000?wait_seconds=61", None, 400, "invalid-query"),
        ("GET", "/v1/runs/00000000000000000000000000/logs?limit=1001", None, 400, "invalid-query"),
        ("GET", "/v1/pipelines/%ff", None, 400, "invalid-path"),
        ("POST", "/v1/runs/00000000000000000000000000/cancel", None, 404, "not-found"),
        ("GET", "/v1/pipelines/Not%20a%20name", None, 400, "invalid-name"),
        ("GET", "/v1/pipelines/nobody", None, 404, "not-found"),
        ("PUT", "/v1/pipelines/x", Some(json!({ "repository": "ext::sh -c id" })), 400, "invalid-repository"),
        ("PUT", "/v1/pipelines/x", Some(json!({ "repository": "/nowhere" })), 422, "not-a-repository"),
        ("PUT", "/v1/pipelines/x", Some(json!({ "repository": "/a", "extra": 1 })), 400, "invalid-body"),
        ("PUT", "/v1/pipelines/x", Some(json!(["/a"])), 400, "invalid-body"),
        ("PUT", "/v1/pipelines/x", Some(json!({ "repository": 1 })), 400, "invalid-body"),
        ("PUT", "/v1/pipelines/x", Some(json!({})), 400, "invalid-body"),
        ("PUT", "/v1/pipelines/x", Some(json!({ "repository": long })), 413, "body-too-large"),
        ("POST", "/v1/pipelines/nobody/runs", Some(json!({ "reference": "main" })), 404, "not-found"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "main" })), 422, "no-definition"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "v9.9.9" })), 422, "unknown-reference"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "abcdef1" })), 422, "unknown-reference"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "--upload-pack=x" })), 400, "invalid-reference"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "v1\u{202e}" })), 400, "invalid-reference"),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "v1\u{1b}[2J" })), 400, "invalid-reference"),
        ("GET", "/v1/pipelines/empty/check?reference=%C2%9B31m", None, 400, "invalid-reference"),
        (
            "POST",
            "/v1/pipelines/empty/runs",
            Some(json!({ "reference": "main", "triggered_by": "root" })),
            400,
            "invalid-body",
        ),
        ("POST", "/v1/pipelines/empty/runs", Some(json!({ "reference": "main", "tier": "root" })), 400, "invalid-tier"),
        ("GET", "/v1/apps/nothing/releases", None, 404, "not-found"),
        ("POST", "/v1/apps/nothing/rollback", None, 404, "not-found"),
    ] {
        let sent = body.as_ref().map(|body| format!(" {}", slipway_domain::text::cut(body.to_string(), 80)));
        let (found, problem) = server.request(method, path, body).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{method} {path}: {problem}");
        assert_eq!(problem["status"], status, "{problem}");
        let told = problem.to_string();
        all += &format!("{method} {path}{}\n{problem:#}\n\n", sent.unwrap_or_default().replace('\u{202e}', "<U+202E>"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        for word in ["deserialize", "invalid type", "expected", "\u{202e}", "\u{9b}"] {
            assert!(!told.contains(word), "{method} {path}: {told}");
        }
    }
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let pairs = [(repository.path().to_str().unwrap(), "/repositories/empty"), (commit.as_str(), "<commit>")];
    golden("problems", &redact(&all, &pairs));
    // What is told is what to mend: the field, and those there are.
    let body = json!({ "reference": "main", "parameter": {} });
    let (_, problem) = server.request("POST", "/v1/pipelines/empty/runs", Some(body)).await;
    assert_eq!(problem["field"], "parameter", "{problem}");
    assert_eq!(problem["hint"], "did you mean `parameters`? there is `parameters`, `reference`, `tier`", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_by_stage_and_from_where_the_reader_is() {
    let server = Server::start();
    let pipeline = "name = \"one\"\n[stages.one]\nuses = \"./plugins/says_hello.wasm\"";
    let repository = Repository::with(pipeline, &["says_hello"]);
    server.add("one", repository.path()).await;
    let run = server.run("one", "main").await["id"].as_str().unwrap().to_owned();
    let reference = std::fs::read_to_string(root().join("docs/http-api.md")).unwrap();
    for way in ["logs", "logs/stream"] {
        let (status, problem) = server.request("GET", &format!("/v1/runs/{run}/{way}?stage=two"), None).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("not-found")), "{problem}");
        assert_eq!(problem["hint"], "the stages of this run are `one`");
    }
    assert_eq!(server.get(&format!("/v1/runs/{run}/logs?stage=one")).await["entries"][0]["message"], "hello");
    for way in ["logs/stream", "events"] {
        let path = format!("/v1/runs/{run}/{way}");
        for wrong in ["first", "-1", "1.5", ""] {
            let (status, problem) = server.request_with("GET", &path, None, &[("last-event-id", wrong)]).await;
            assert_eq!((status, problem["code"].as_str()), (400, Some("invalid-last-event-id")), "{wrong}: {problem}");
        }
        let client = reqwest::Client::new();
        let read = async |last: &str| {
            let request = client.get(format!("{}{path}", server.api)).bearer_auth(&server.token);
            request.header("last-event-id", last).send().await.unwrap().text().await.unwrap()
        };
        let (whole, rest) = (read("0").await, read("1").await);
        for name in whole.lines().filter_map(|line| line.strip_prefix("event: ")) {
            assert!(reference.contains(&format!("`{name}`")), "docs/http-api.md does not tell of the event `{name}`");
        }
        assert!(whole.contains("id: 1\n") && whole.contains("id: 2\n"), "{whole}");
        assert!(!rest.contains("id: 1\n") && rest.contains("id: 2\n"), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_file_that_is_no_text_is_refused_with_its_place() {
    let server = Server::start();
    let repository = Repository::new();
    repository.write("slipway.toml", b"name = \"text\"\n# \xff\n");
    repository.commit("one", Some("v1.0.0"));
    repository.write("slipway.toml", "name = \"text\"\n# ä\n[stages.t]\nuses = \"./t.wasm\"\n".as_bytes());
    repository.write("t.wasm", &support::guest("noop_test"));
    repository.commit("two", Some("v1.0.1"));
    server.add("text", repository.path()).await;
    let (status, problem) = server.request("GET", "/v1/pipelines/text/check?reference=v1.0.0", None).await;
    let found = &problem["diagnostics"][0];
    assert_eq!((status, found["code"].as_str()), (422, Some("not-utf-8")), "{problem}");
    assert_eq!((found["line"].as_u64(), found["column"].as_u64()), (Some(2), Some(3)), "{problem}");
    server.get("/v1/pipelines/text/check?reference=v1.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_server_is_closed_to_others() {
    let server = Server::start();
    assert!(server.api.starts_with("http://127.0.0.1:"));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(server.data().join("token")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let response = reqwest::Client::new()
        .get(format!("{}/healthz", server.api))
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert!(response.headers().get("access-control-allow-origin").is_none());
    let database = std::fs::read(server.data().join("slipway.db")).unwrap();
    let wal = std::fs::read(server.data().join("slipway.db-wal")).unwrap_or_default();
    for bytes in [database, wal] {
        assert!(
            !bytes.windows(server.token.len()).any(|window| window == server.token.as_bytes()),
            "the token is stored"
        );
    }
}

/// Threat T69: no answer has a field that could hold a secret, but the one of a token that was made just now.
#[test]
fn no_answer_of_the_api_has_a_field_for_a_secret() {
    const SECRET: [&str; 8] =
        ["secret", "password", "token", "credential", "private_key", "ciphertext", "sealed", "value"];
    let text = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    // What only goes in is marked as that.
    let mut found = Vec::new();
    for (schema, content) in schemas {
        for (field, about) in content["properties"].as_object().into_iter().flatten() {
            if SECRET.iter().any(|word| field == word) && about["writeOnly"] != true {
                found.push(format!("{schema}.{field}"));
            }
        }
    }
    // A token is told once, to whoever has made it.
    assert_eq!(found, ["CreatedToken.token"]);
    assert_eq!(document["components"]["schemas"]["PutSecret"]["properties"]["value"]["writeOnly"], true);
}
