//! All of them at once, with honest runs beside them.

use crate::plugins::{add, all, server};
use crate::support::{Server, guest, stage};
use serde_json::json;
use std::time::{Duration, Instant};

/// How many honest runs there are.
const HONEST: usize = 20;

/// The processes of a server, with what they hold.
fn held(server: &Server) -> (u64, usize) {
    let mut processes = vec![server.pid() as i32];
    processes.extend(server.children("worker"));
    let memory = |id: &i32| {
        let pages = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    };
    let files = |id: &i32| std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count);
    (processes.iter().map(memory).sum(), processes.iter().map(files).sum())
}

/// Runs the honest ones, one after the other, and returns the time of the slowest.
async fn honest(server: &Server) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..HONEST {
        let began = Instant::now();
        let id = server.trigger("honest", "main").await;
        let run = server.end(&id).await;
        assert_eq!(run["state"], "passed", "{run:#}");
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

/// Threats T31 and T36.
#[tokio::test(flavor = "multi_thread")]
async fn honest_runs_succeed_beside_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    add(&server, "honest", &guest("says_hello"), "").await;
    let quiet = honest(&server).await;
    let worker = server.children("worker");
    // Once, so that all are known, and what is kept of them is kept.
    let mut runs = Vec::new();
    for evil in all() {
        if let Some(id) = evil.trigger(&server).await {
            runs.push((evil, id));
        }
    }
    for (evil, id) in &runs {
        evil.check(&server.end(id).await);
    }
    let (memory, files) = held(&server);
    // In an order of their own each time: that of the bits of the time.
    let seed = std::process::id() as usize;
    let mut again = Vec::new();
    for at in 0..runs.len() {
        let (evil, _) = &runs[(at * 7 + seed) % runs.len()];
        again.push(server.trigger(evil.name, "main").await);
    }
    let beside = honest(&server).await;
    for id in &again {
        assert!(server.end(id).await["state"].is_string());
    }
    println!("the slowest honest run: {quiet:.1?} alone, {beside:.1?} beside the others");
    assert_eq!(server.children("worker"), worker, "the worker is the same: nothing has brought it down");
    // Back to where it was, when the last of it is cleared away.
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (memory_now, files_now) = held(&server);
        if memory_now < memory + (128 << 20) && files_now <= files + 8 {
            break;
        }
        let (more, opened) = (memory_now.saturating_sub(memory) >> 20, files_now.saturating_sub(files));
        assert!(Instant::now() < until, "{more} MiB more, {opened} files more");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = server.request("POST", "/v1/pipelines/honest/runs", Some(json!({ "reference": "main" }))).await;
    let run = server.end(after.1["id"].as_str().unwrap()).await;
    assert_eq!(stage(&run, "only")["state"], "passed");
}
