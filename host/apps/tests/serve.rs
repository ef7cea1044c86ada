//! The life of a real app: the demo app in `tests/app`, as the toolchain builds it.
//!
//! `SLIPWAY_TEST_APP_WASM` names its component; `cargo xtask test` builds it and sets it.

#![expect(clippy::disallowed_methods, reason = "it measures")]

mod support;

use serde_json::json;
use slipway_apps::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Asker, Host, TOKEN, id, told};

/// The demo app's component.
fn app() -> Vec<u8> {
    let Ok(path) = std::env::var("SLIPWAY_TEST_APP_WASM") else {
        panic!(
            "`SLIPWAY_TEST_APP_WASM` is not set: run `cargo xtask test`, or build `tests/app` with \
             `cargo build --release --target wasm32-wasip2` and set it to the path of `hello.wasm`"
        );
    };
    std::fs::read(&path).unwrap_or_else(|error| panic!("`SLIPWAY_TEST_APP_WASM` is `{path}`: {error}"))
}

/// The demo app as another component: with a custom section at its end.
fn app_with_mark(mark: u8) -> Vec<u8> {
    let mut component = app();
    component.extend([0, 3, 1, b'm', mark]);
    component
}

#[tokio::test]
async fn a_first_release_goes_live() {
    let host = Host::start().await;
    host.put("hello", &id(1), &app()).await;
    host.put("hello", &id(1), &app()).await;
    assert_eq!(host.get("hello", "/health").await.0, 503, "a candidate gets no traffic");

    let health = host.health(&id(1), "/health", 20_000).await;
    assert_eq!((&health["healthy"], &health["status"]), (&json!(true), &json!(200)));
    assert_eq!(health["message"], r#"{"status":"ok"}"#);
    assert!(health["time_us"].as_u64().unwrap() > 0);
    assert_eq!(host.switch("hello", json!({ "release": id(1), "keep": [] })).await, (200, json!({})));

    assert_eq!(host.get("hello", "/").await, (200, r#"{"app":"hello","version":"1.0.0"}"#.into()));
    assert_eq!(host.get("hello", "/nowhere").await.0, 404);
    let quote = host.request("POST", "hello", "/quote").body("green-tea=2").send().await.unwrap();
    assert_eq!(quote.headers()["content-type"], "application/json");
    let (status, body) = told(quote).await;
    assert_eq!((status, body.contains(r#""cents":1790"#)), (200, true), "{body}");
    let head = host.request("HEAD", "hello", "/health").send().await.unwrap();
    assert_eq!(head.status().as_u16(), 405, "the app answers HEAD in its own way");

    host.until_quiet("hello").await;
    let view = host.status("hello").await;
    assert_eq!((&view["live"], &view["candidates"]), (&json!(id(1)), &json!([])));
    assert_eq!((&view["requests"], &view["failures"]), (&json!(4), &json!(0)));
    host.stop().await;
}

#[tokio::test]
async fn an_unhealthy_candidate_is_refused() {
    let host = Host::start().await;
    host.go_live("hello", &id(1), &app()).await;
    host.put("hello", &id(2), &app_with_mark(2)).await;
    let unchecked = host.switch("hello", json!({ "release": id(2), "keep": [id(1)] })).await;
    assert_eq!(unchecked.0, 409, "{}", unchecked.1);

    let began = Instant::now();
    let health = host.health(&id(2), "/nowhere", 500).await;
    assert!(began.elapsed() >= Duration::from_millis(350), "it was asked again: {:?}", began.elapsed());
    assert_eq!((&health["healthy"], &health["status"]), (&json!(false), &json!(404)));
    let refused = host.switch("hello", json!({ "release": id(2), "keep": [id(1)] })).await;
    assert_eq!(refused.0, 409, "{}", refused.1);
    assert_eq!(host.status("hello").await["live"], id(1));

    let live = host.order("DELETE", &format!("/releases/{}", id(1)), "").await;
    assert_eq!(live.0, 409, "{}", live.1);
    assert_eq!(host.order("DELETE", &format!("/releases/{}", id(2)), "").await, (200, json!({})));
    let unknown = host.order("POST", &format!("/releases/{}/health", id(2)), r#"{"path":"/health"}"#).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    host.stop().await;
}

#[tokio::test]
async fn an_unknown_host_finds_nothing() {
    let host = Host::start().await;
    host.go_live("hello", &id(1), &app()).await;
    let problem = host.problem("goodbye", "/").await;
    assert_eq!((&problem["status"], &problem["detail"]), (&json!(404), &json!("there is no app `goodbye` here")));
    host.stop().await;
}

#[tokio::test]
async fn an_oversize_body_is_refused() {
    let host = Host::start().await;
    host.go_live("hello", &id(1), &app()).await;
    let request = host.request("POST", "hello", "/quote").body(vec![b'x'; (8 << 20) + 1]);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 413);
    let request = host.request("POST", "hello", "/quote").body(vec![b'x'; 1 << 20]);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 413, "the app's own limit");
    host.stop().await;
}

#[tokio::test]
async fn orders_need_the_token() {
    let host = Host::start().await;
    host.go_live("hello", &id(1), &app()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let admin = format!("http://{}", host.bound.admin);
    let release = format!("/releases/{}", id(1));
    for (method, path) in [
        ("PUT", format!("{release}?app=hello&version=1")),
        ("POST", format!("{release}/health")),
        ("POST", "/apps/hello/switch".into()),
        ("DELETE", release),
        ("GET", "/status".into()),
        ("GET", "/nowhere".into()),
    ] {
        for token in [None, Some("Bearer "), Some("Bearer wrong"), Some(TOKEN), Some("Basic YTpi")] {
            let request = client.request(method.parse().unwrap(), format!("{admin}{path}")).body("{}");
            let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 401, "{method} {path} with {token:?}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
    assert_eq!(client.get(format!("{admin}/healthz")).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(host.status("hello").await["live"], id(1));
    host.stop().await;
}

/// Asks without a pause on some connections until it is told to stop, and counts.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    askers: Vec<tokio::task::JoinHandle<Vec<Duration>>>,
}

impl Load {
    async fn start(host: &Host, path: &'static str, connections: usize) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut askers = Vec::new();
        for _ in 0..connections {
            let mut asker = Asker::new(host.bound.listen, "hello", path).await;
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            askers.push(tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let (status, body) = asker.ask().await;
                    times.push(began.elapsed());
                    assert_eq!(status, 200, "{body}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                times
            }));
        }
        Self { stop, asked, askers }
    }

    async fn until_asked(&self, more: u64) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends it, and returns how long each request took, shortest first.
    async fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for asker in self.askers {
            times.extend(asker.await.expect("every request is answered with 200"));
        }
        times.sort();
        times
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_a_switch() {
    let host = Host::start().await;
    host.go_live("hello", &id(1), &app()).await;
    let load = Load::start(&host, "/items", 16).await;
    load.until_asked(100).await;
    for digit in 2..=9 {
        // Compiled anew each time, while the requests go on.
        host.put("hello", &id(digit), &app_with_mark(digit)).await;
        assert_eq!(host.health(&id(digit), "/health", 20_000).await["healthy"], true);
        let switched = host.switch("hello", json!({ "release": id(digit), "keep": [id(digit - 1)] })).await;
        assert_eq!(switched, (200, json!({})));
        load.until_asked(50).await;
    }
    let times = load.end().await;
    host.until_quiet("hello").await;
    let view = host.status("hello").await;
    assert_eq!((&view["live"], &view["candidates"]), (&json!(id(9)), &json!([id(8)])));
    assert_eq!((&view["requests"], &view["failures"]), (&json!(times.len()), &json!(0)));
    host.stop().await;
}

/// Not a test: `cargo test -p slipway-apps --test serve -- --ignored --nocapture measure`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn measure() {
    let host = Host::start_with(Limits::default()).await;
    let began = Instant::now();
    host.go_live("hello", &id(1), &app()).await;
    println!("compiled and live after {:?}", began.elapsed());
    let times: Vec<u64> = {
        let mut times = Vec::new();
        for _ in 0..200 {
            times.push(host.health(&id(1), "/health", 0).await["time_us"].as_u64().unwrap());
        }
        times.sort();
        times
    };
    println!("without a socket: p50 {} us, p99 {} us", times[100], times[198]);
    for connections in [1, 8, 64] {
        let load = Load::start(&host, "/health", connections).await;
        load.until_asked(500).await;
        let (began, before) = (Instant::now(), load.asked.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (time, asked) = (began.elapsed(), load.asked.load(Ordering::Relaxed) - before);
        let times = load.end().await;
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!(
            "{connections} connections: {:.0} requests/s, p50 {:?}, p95 {:?}, p99 {:?}",
            asked as f64 / time.as_secs_f64(),
            at(50),
            at(95),
            at(99)
        );
    }
    host.stop().await;
}
