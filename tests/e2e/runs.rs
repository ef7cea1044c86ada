//! Runs from outside: idempotency, logs, cancelling, conditions.

use crate::support::{Repository, Server, stage};
use serde_json::json;
use std::time::Duration;

const NOOPS: &str = "name = \"noop\"
    [stages.build]\nuses = \"./plugins/noop_build.wasm\"
    [stages.test]\nneeds = [\"build\"]\nuses = \"./plugins/noop_test.wasm\"
    [stages.deploy]\nneeds = [\"test\"]\nuses = \"./plugins/noop_deploy.wasm\"\nwhen.tag = \"v*\"";

fn noops() -> Repository {
    Repository::with(NOOPS, &["noop_build", "noop_test", "noop_deploy"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_run() {
    let server = Server::start();
    let repository = noops();
    server.add("noop", repository.path()).await;
    let create = |reference: &'static str, key: &'static str| {
        let server = &server;
        async move {
            let body = Some(json!({ "reference": reference }));
            server.request_with("POST", "/v1/pipelines/noop/runs", body, &[("idempotency-key", key)]).await
        }
    };
    let (first, again) = tokio::join!(create("main", "a"), create("main", "a"));
    assert_eq!((first.0, again.0), (202, 202));
    assert_eq!(first.1["id"], again.1["id"]);
    let (status, problem) = create("v1.0.0", "a").await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("idempotency-key-used")));
    assert_ne!(create("main", "b").await.1["id"], first.1["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_may_be_given_relative_to_where_one_is() {
    let server = Server::start_relative();
    let repository = noops();
    server.add("noop", repository.path()).await;
    assert_eq!(server.run("noop", "main").await["state"], "passed");
    assert!(server.data().join("slipway.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_decides_what_runs() {
    let server = Server::start();
    let repository = noops();
    server.add("noop", repository.path()).await;
    let tagged = server.run("noop", "v1.0.0").await;
    assert_eq!(
        (tagged["state"].as_str(), stage(&tagged, "deploy")["state"].as_str()),
        (Some("passed"), Some("passed"))
    );
    assert_eq!(tagged["version"], "1.0.0");
    let branch = server.run("noop", "main").await;
    assert_eq!(
        (branch["state"].as_str(), stage(&branch, "deploy")["state"].as_str()),
        (Some("passed"), Some("skipped"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_as_cancelled() {
    let server = Server::start();
    let pipeline = "name = \"slow\"\n[stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 60 }
        [stages.after]\nneeds = [\"wait\"]\nuses = \"./plugins/noop_test.wasm\"";
    let repository = Repository::with(pipeline, &["slow", "noop_test"]);
    server.add("slow", repository.path()).await;
    let id = server.trigger("slow", "main").await;
    until_running(&server, &id).await;
    let (status, _) = server.request("POST", &format!("/v1/runs/{id}/cancel"), None).await;
    assert_eq!(status, 202);
    let run = server.end(&id).await;
    assert_eq!((run["state"].as_str(), run["culprit"].as_str()), (Some("cancelled"), Some("bootstrap")), "{run:#}");
    let (status, problem) = server.request("POST", &format!("/v1/runs/{id}/cancel"), None).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("conflict")));
}

pub async fn until_running(server: &Server, id: &str) {
    for _ in 0..200 {
        if server.get(&format!("/v1/runs/{id}")).await["state"] == "running" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("run {id} does not run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_live_and_resumed() {
    let server = Server::start();
    let pipeline = "name = \"talk\"\n[stages.only]\nuses = \"./plugins/says_hello.wasm\"";
    let repository = Repository::with(pipeline, &["says_hello"]);
    server.add("talk", repository.path()).await;
    let id = server.trigger("talk", "main").await;
    let stream = |after: u64| {
        let request = reqwest::Client::new()
            .get(format!("{}/v1/runs/{id}/logs/stream", server.api))
            .bearer_auth(&server.token)
            .header("last-event-id", after.to_string());
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let whole = stream(0).await;
    let ids: Vec<u64> = whole.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(ids.len() >= 2 && whole.contains("event: end"), "{whole}");
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    let rest = stream(1).await;
    assert!(!rest.contains("id: 1\n") && rest.contains("id: 2\n"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_by_pages() {
    let server = Server::start();
    let repository = noops();
    server.add("noop", repository.path()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.run("noop", "main").await["id"].as_str().unwrap().to_owned());
    }
    let mut listed = Vec::new();
    let mut path = "/v1/pipelines/noop/runs?limit=2".to_owned();
    loop {
        let page = server.get(&path).await;
        listed.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/pipelines/noop/runs?limit=2&cursor={next}"),
            None => break,
        }
    }
    ids.reverse();
    assert_eq!(listed, ids);
}
