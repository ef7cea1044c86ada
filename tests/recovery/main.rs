//! Crashes: whatever is killed whenever, every accepted run ends, and none twice.

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

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use support::{Remote, Repository, Server, root, stage};

/// How often something is killed, when `SLIPWAY_KILLS` does not say.
const KILLS: usize = 50;

const PIPELINE: &str = "name = \"work\"
    [stages.build]\nuses = \"./plugins/says_hello.wasm\"
    [stages.pack]\nuses = \"./plugins/keeps_file.wasm\"\nwith = { path = \"app.wasm\", media_type = \"application/wasm\" }
    [stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 1 }
    [stages.test]\nneeds = [\"build\", \"wait\"]\nuses = \"./plugins/reads_input.wasm\"
    [stages.deploy]\nneeds = [\"test\", \"pack\"]\nuses = \"app@1\"\ngrant.apps = [\"shop\"]
    with = { app = \"shop\", stage = \"pack\", watch_seconds = 0 }";

/// The guests of the pipeline.
const GUESTS: [&str; 4] = ["says_hello", "slow", "reads_input", "keeps_file"];

/// A repository with two versions of an app, so that each deploy has something to replace.
fn repository() -> Repository {
    let repository = Repository::with(PIPELINE, &GUESTS);
    let app = std::fs::read(root().join("target/guests/app/hello.wasm")).unwrap();
    for (number, tag) in [(1, "a"), (2, "b")] {
        // A custom section of a name alone, which is a number: another digest, the same app.
        let section = [0, 2, 1, b'0' + number];
        repository.write("app.wasm", &[&app[..], &section].concat());
        repository.commit(tag, Some(tag));
    }
    repository
}

fn end(pid: i32) {
    let killed =
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
    // It may have ended meanwhile.
    let _gone = killed.is_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_whose_worker_is_killed_is_taken_up_by_the_next() {
    let server = Server::start();
    let pipeline = "name = \"slow\"\n[stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 3 }";
    let repository = Repository::with(pipeline, &["slow"]);
    server.add("slow", repository.path()).await;
    let id = server.trigger("slow", "main").await;
    server.until_logged(&id, "waited").await;
    for pid in server.children("worker") {
        end(pid);
    }
    let run = server.end(&id).await;
    assert_eq!(run["state"], "passed", "{run:#}");
    let outcomes: Vec<&str> = stage(&run, "wait")["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["lost", "passed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_in_good_order_takes_its_runs_up_again() {
    let mut server = Server::start();
    let repository = repository();
    server.add("work", repository.path()).await;
    let mut ids = Vec::new();
    for pause in [0, 30, 200, 500, 1_000] {
        ids.push(server.trigger("work", if pause % 20 == 0 { "a" } else { "b" }).await);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.stop();
        server.restart();
    }
    for id in ids {
        let run = server.end(&id).await;
        assert_eq!(run["state"], "passed", "{run:#}");
        check(&server, &run).await;
    }
}

/// A small generator (xorshift64), so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_random_points_loses_and_doubles_nothing() {
    let kills = std::env::var("SLIPWAY_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let seed = std::env::var("SLIPWAY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1
    });
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut server = Server::start();
    let repository = repository();
    server.add("work", repository.path()).await;
    // One that lives on when the server dies, with what it holds.
    let mut remote = Remote::start(&server, "remote").await;
    let first = server.run("work", "a").await;
    assert_eq!(first["state"], "passed", "{first:#}");

    // What the client was told, by its own keys.
    let mut accepted: BTreeMap<String, String> = BTreeMap::new();
    let mut in_doubt: Vec<(String, Value)> = Vec::new();
    let victims = ["control", "worker", "both", "apps", "remote"];
    let mut killed: BTreeMap<&str, u32> = victims.iter().map(|victim| (*victim, 0)).collect();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    for round in 0..kills {
        for number in 0..2 {
            let key = format!("{round}-{number}");
            let body = serde_json::json!({ "reference": if round % 2 == 0 { "a" } else { "b" } });
            let sent = client
                .post(format!("{}/v1/pipelines/work/runs", server.api))
                .bearer_auth(&server.token)
                .header("idempotency-key", &key)
                .json(&body)
                .send();
            let sent = tokio::spawn(sent);
            // The last of a round is left in the air, so that the kill may hit it.
            if number == 0 {
                let body: Value = sent.await.unwrap().unwrap().json().await.unwrap();
                accepted.insert(key, body["id"].as_str().unwrap().to_owned());
            } else {
                tokio::time::sleep(Duration::from_millis(random.below(400))).await;
                let what = victims[random.below(5) as usize];
                *killed.get_mut(what).unwrap() += 1;
                match what {
                    "worker" => server.children("worker").into_iter().for_each(end),
                    "apps" => server.children("apps").into_iter().for_each(end),
                    "remote" => remote.restart(&server),
                    what => {
                        let workers = server.children("worker");
                        if what == "both" {
                            workers.into_iter().for_each(end);
                        }
                        server.kill();
                        server.restart();
                    }
                }
                match sent.await.unwrap() {
                    Ok(response) if response.status() == 202 => {
                        let told: Value = response.json().await.unwrap_or_default();
                        match told["id"].as_str() {
                            Some(id) => drop(accepted.insert(key, id.to_owned())),
                            None => in_doubt.push((key, body)),
                        }
                    }
                    Ok(_) | Err(_) => in_doubt.push((key, body)),
                }
            }
        }
    }

    // Whose answer was lost asks again, by the same key: it is the run of then, or a new one.
    let lost_answers = in_doubt.len();
    for (key, body) in in_doubt {
        let path = "/v1/pipelines/work/runs";
        let (status, run) = server.request_with("POST", path, Some(body), &[("idempotency-key", &key)]).await;
        assert_eq!(status, 202, "{run}");
        accepted.insert(key, run["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(accepted.len(), 2 * kills);

    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    let (mut retried, mut by_remote) = (0, 0);
    for id in accepted.values() {
        let run = server.end(id).await;
        *ended.entry(run["state"].as_str().unwrap().to_owned()).or_default() += 1;
        retried += usize::from(check(&server, &run).await);
        for stage in run["stages"].as_array().unwrap().iter().filter(|stage| !stage["fault"].is_null()) {
            // What was on a worker whenever one died is taken for the cause at last.
            assert_eq!(stage["fault"]["code"], "worker-lost", "{stage:#}");
        }
        by_remote += usize::from(run["stages"].to_string().contains("\"remote/"));
    }
    let live = server.get("/v1/apps/shop/releases").await;
    let live = live["releases"].as_array().unwrap().iter().filter(|release| release["state"] == "live").count();
    assert_eq!((live, server.ask_app("shop", "/health").await.0), (1, 200), "one release is live, and served");
    let all = all_runs(&server).await;
    println!(
        "{kills} kills ({killed:?}): {} runs accepted, {lost_answers} answers lost; ended {ended:?}, {retried} with a stage taken up again, {by_remote} with one on the worker that lives on",
        accepted.len()
    );
    assert_eq!(all.len(), accepted.len() + 1, "one run for each key, and the first");
    assert_eq!(ended.get("failed"), None, "a crash is nobody's failure");
    let passed = ended.get("passed").copied().unwrap_or(0);
    assert!(passed * 100 >= accepted.len() * 60, "too few have passed to say anything: {ended:?}");
}

/// One winner for each stage, and nothing of a lost attempt left. Returns whether a stage was
/// taken up again.
async fn check(server: &Server, run: &Value) -> bool {
    let mut retried = false;
    let mut seqs = Vec::new();
    for stage in run["stages"].as_array().unwrap() {
        let mut won: BTreeMap<&str, usize> = BTreeMap::new();
        for attempt in stage["attempts"].as_array().unwrap() {
            let outcome = attempt["outcome"].as_str().unwrap_or("none");
            retried |= outcome == "lost";
            if outcome == "passed" {
                *won.entry(attempt["phase"].as_str().unwrap()).or_default() += 1;
            }
        }
        assert!(won.values().all(|count| *count == 1), "{stage:#}");
        if stage["state"] == "passed" {
            assert!(!won.is_empty(), "{stage:#}");
        }
    }
    for entry in server.log(run["id"].as_str().unwrap()).await {
        seqs.push(entry["seq"].as_u64().unwrap());
    }
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "the log has a gap or a repeat");
    if run["state"] == "passed" {
        let artifacts = server.get(&format!("/v1/runs/{}/artifacts", run["id"].as_str().unwrap())).await;
        assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 2, "{artifacts}");
    }
    retried
}

async fn all_runs(server: &Server) -> Vec<String> {
    let mut ids = Vec::new();
    let mut path = "/v1/runs?limit=200".to_owned();
    loop {
        let page = server.get(&path).await;
        ids.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/runs?limit=200&cursor={next}"),
            None => return ids,
        }
    }
}
