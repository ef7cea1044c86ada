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
use support::{Repository, Server, stage};

/// How often something is killed, when `SLIPWAY_KILLS` does not say.
const KILLS: usize = 50;

const PIPELINE: &str = "name = \"work\"
    [stages.build]\nuses = \"./plugins/says_hello.wasm\"
    [stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 1 }
    [stages.test]\nneeds = [\"build\", \"wait\"]\nuses = \"./plugins/reads_input.wasm\"
    [stages.deploy]\nneeds = [\"test\"]\nuses = \"./plugins/noop_deploy.wasm\"";

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
    loop {
        if server.get(&format!("/v1/runs/{id}")).await["state"] == "running" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
    let repository = Repository::with(PIPELINE, &["says_hello", "slow", "reads_input", "noop_deploy"]);
    server.add("work", repository.path()).await;
    let mut ids = Vec::new();
    for pause in [0, 30, 200, 500, 1_000] {
        ids.push(server.trigger("work", "main").await);
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
    let repository = Repository::with(PIPELINE, &["says_hello", "slow", "reads_input", "noop_deploy"]);
    server.add("work", repository.path()).await;
    server.run("work", "main").await;

    // What the client was told, by its own keys.
    let mut accepted: BTreeMap<String, String> = BTreeMap::new();
    let mut in_doubt = 0;
    let mut killed = BTreeMap::from([("control", 0), ("worker", 0), ("both", 0)]);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    for round in 0..kills {
        for number in 0..2 {
            let key = format!("{round}-{number}");
            let sent = client
                .post(format!("{}/v1/pipelines/work/runs", server.api))
                .bearer_auth(&server.token)
                .header("idempotency-key", &key)
                .json(&serde_json::json!({ "reference": "main" }))
                .send();
            let sent = tokio::spawn(sent);
            // The last of a round is left in the air, so that the kill may hit it.
            if number == 0 {
                let body: Value = sent.await.unwrap().unwrap().json().await.unwrap();
                accepted.insert(key, body["id"].as_str().unwrap().to_owned());
            } else {
                tokio::time::sleep(Duration::from_millis(random.below(400))).await;
                let what = ["control", "worker", "both"][random.below(3) as usize];
                *killed.get_mut(what).unwrap() += 1;
                let workers = server.children("worker");
                if what != "control" {
                    workers.iter().for_each(|pid| end(*pid));
                }
                if what != "worker" {
                    server.kill();
                    server.restart();
                }
                match sent.await.unwrap() {
                    Ok(response) if response.status() == 202 => {
                        let body: Value = response.json().await.unwrap_or_default();
                        if let Some(id) = body["id"].as_str() {
                            accepted.insert(key, id.to_owned());
                        }
                    }
                    Ok(_) | Err(_) => in_doubt += 1,
                }
            }
        }
    }

    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    let mut retried = 0;
    for id in accepted.values() {
        let run = server.end(id).await;
        *ended.entry(run["state"].as_str().unwrap().to_owned()).or_default() += 1;
        retried += usize::from(check(&server, &run).await);
    }
    let all = all_runs(&server).await;
    println!(
        "{kills} kills ({killed:?}): {} runs accepted, {in_doubt} answers lost; ended {ended:?}, {retried} with a stage taken up again",
        accepted.len()
    );
    assert!(
        all.len() <= accepted.len() + in_doubt + 1,
        "a run that nobody asked for: {} of {}",
        all.len(),
        accepted.len()
    );
    assert_eq!(ended.get("failed"), None, "a crash is nobody's failure");
    assert!(accepted.len() * 100 >= kills * 2 * 60, "too few triggers were accepted to say anything");
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
        assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 1, "{artifacts}");
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
