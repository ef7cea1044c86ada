//! The demo app: three versions of it, from tag to traffic.

use crate::support::{Repository, Server, root, stage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn versions() -> Repository {
    let repository = Repository::new();
    let app = root().join("tests/app");
    for (tag, variant) in [("v1.0.0", None), ("v1.0.1", Some("v1.0.1")), ("v1.0.2", Some("v1.0.2"))] {
        repository.copy(&app);
        if let Some(variant) = variant {
            repository.copy(&app.join("variants").join(variant));
        }
        repository.commit(tag, Some(tag));
    }
    repository
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_becomes_a_live_app_and_a_bad_one_never_gets_a_request() {
    let server = Server::start();
    let repository = versions();
    server.add("hello", repository.path()).await;

    let run = server.run("hello", "v1.0.0").await;
    assert_eq!(run["state"], "passed", "{run:#}");
    assert_eq!(server.ask_app("hello", "/version").await, (200, r#"{"version":"1.0.0"}"#.into()));
    let id = run["id"].as_str().unwrap();
    let reports = server.get(&format!("/v1/runs/{id}/reports")).await;
    assert!(reports["passed"].as_u64().unwrap() >= 10, "{reports}");
    assert!(reports["test_cases"][0]["time_us"].is_u64(), "{reports}");
    assert_eq!(reports["changes"][0]["action"], "create");
    let artifacts = server.get(&format!("/v1/runs/{id}/artifacts")).await;
    let names: Vec<&str> =
        artifacts["artifacts"].as_array().unwrap().iter().map(|artifact| artifact["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello.wasm", "junit.xml"]);

    let run = server.run("hello", "v1.0.1").await;
    assert_eq!((run["state"].as_str(), run["culprit"].as_str()), (Some("failed"), Some("test")));
    assert_eq!(stage(&run, "test")["failure"]["code"], "tests-failed");
    assert_eq!(stage(&run, "deploy")["state"], "skipped");
    assert_eq!(server.ask_app("hello", "/version").await.1, r#"{"version":"1.0.0"}"#);

    // A light load while the unhealthy version is tried and taken back.
    let server = Arc::new(server);
    let (stop, asked, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let load = tokio::spawn({
        let (server, stop, asked, failed) =
            (Arc::clone(&server), Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&failed));
        async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = server.ask_app("hello", "/version").await;
                asked.fetch_add(1, Ordering::Relaxed);
                if answer != (200, r#"{"version":"1.0.0"}"#.into()) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let run = server.run("hello", "v1.0.2").await;
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert_eq!((run["state"].as_str(), run["culprit"].as_str()), (Some("failed"), Some("deploy")));
    assert_eq!(stage(&run, "deploy")["failure"]["code"], "unhealthy");
    assert_eq!(stage(&run, "deploy")["rollback"], "done");
    assert!(asked.load(Ordering::Relaxed) > 20);
    assert_eq!(failed.load(Ordering::Relaxed), 0, "of {} requests", asked.load(Ordering::Relaxed));

    let releases = server.get("/v1/apps/hello/releases").await;
    let states: Vec<(&str, &str)> = releases["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|release| (release["version"].as_str().unwrap(), release["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("1.0.2", "rejected"), ("1.0.0", "live")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_outlives_the_server_and_can_be_rolled_back() {
    let mut server = Server::start();
    let repository = Repository::new();
    repository.copy(&root().join("tests/app"));
    repository.commit("one", Some("v1.0.0"));
    repository.write("NOTES", b"a change that changes nothing");
    let manifest = std::fs::read_to_string(repository.path().join("Cargo.toml")).unwrap();
    repository.write("Cargo.toml", manifest.replace("version = \"1.0.0\"", "version = \"1.1.0\"").as_bytes());
    let lock = std::fs::read_to_string(repository.path().join("Cargo.lock")).unwrap();
    repository.write("Cargo.lock", lock.replace("version = \"1.0.0\"", "version = \"1.1.0\"").as_bytes());
    repository.commit("two", Some("v1.1.0"));
    server.add("hello", repository.path()).await;
    for tag in ["v1.0.0", "v1.1.0"] {
        let run = server.run("hello", tag).await;
        assert_eq!(run["state"], "passed", "{run:#}");
    }
    assert_eq!(server.ask_app("hello", "/version").await.1, r#"{"version":"1.1.0"}"#);

    server.kill();
    server.restart();
    assert_eq!(server.ask_app("hello", "/version").await.1, r#"{"version":"1.1.0"}"#, "after a restart");

    let (status, live) = server.request("POST", "/v1/apps/hello/rollback", None).await;
    assert_eq!((status, live["version"].as_str()), (200, Some("1.0.0")), "{live}");
    assert_eq!(server.ask_app("hello", "/version").await.1, r#"{"version":"1.0.0"}"#);
    let (status, problem) = server.request("POST", "/v1/apps/hello/rollback", None).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("no-release")), "{problem}");
}
