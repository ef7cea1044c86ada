//! A disk that is full.

use crate::support::{Repository, Server};
use serde_json::json;
use std::io::Write;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    let server = Server::start_on_disk_of(24 << 20);
    let pipeline = "name = \"noop\"\n[stages.only]\nuses = \"./plugins/noop_build.wasm\"";
    let repository = Repository::with(pipeline, &["noop_build"]);
    server.add("noop", repository.path()).await;
    assert_eq!(server.run("noop", "main").await["state"], "passed");

    let filler = server.seen("filler");
    fill(&filler);
    let trigger = || server.request("POST", "/v1/pipelines/noop/runs", Some(json!({ "reference": "main" })));
    let mut accepted = Vec::new();
    // What the files of the database still have room for is taken first.
    let problem = loop {
        match trigger().await {
            (202, run) => accepted.push(run["id"].as_str().unwrap().to_owned()),
            (status, problem) => break (status, problem),
        }
        assert!(accepted.len() < 150, "the disk is full, and runs are still accepted");
    };
    assert_eq!((problem.0, problem.1["code"].as_str()), (507, Some("disk-full")), "{problem:?}");
    let runs = server.get("/v1/runs?limit=200").await;
    assert_eq!(runs["runs"].as_array().unwrap().len(), accepted.len() + 1, "nothing of the refused one");

    std::fs::remove_file(filler).unwrap();
    for run in &accepted {
        assert_eq!(server.end(run).await["state"], "passed", "what was accepted ends");
    }
    assert_eq!(server.run("noop", "main").await["state"], "passed", "the host goes on");
}

/// Writes until nothing more goes in, not even a little.
fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 4 << 10, 1] {
        let piece = vec![0; size];
        while file.write_all(&piece).is_ok() {}
    }
}
