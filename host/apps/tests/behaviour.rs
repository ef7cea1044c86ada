//! Apps that behave, apps that do not, and what their users see. Each app is a few lines of
//! WebAssembly text.

#![expect(clippy::disallowed_methods, reason = "it measures")]

#[path = "support/guests.rs"]
mod guests;
mod support;

use serde_json::{Value, json};
use slipway_apps::{Error, Limits};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::{ANY, Host, id, options, told};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn an_app_answers() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::answers(201)).await;
    assert_eq!(host.get("shop", "/").await, (201, "ok".into()));
    assert_eq!(host.get("SHOP", "/").await.0, 201);
    host.stop().await;
}

#[tokio::test]
async fn only_an_app_that_is_there_is_found() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::answers(200)).await;
    host.put("stage", &id(2), &guests::answers(200)).await;

    let problem = host.problem("till", "/").await;
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["detail"], "there is no app `till` here");
    let problem = host.problem("stage", "/").await;
    assert_eq!(problem["status"], 503);
    assert_eq!(problem["detail"], "app `stage` has no live release");

    let plain = "GET / HTTP/1.1\r\nhost: example.org\r\nconnection: close\r\n\r\n";
    assert!(host.raw(plain).await.starts_with("HTTP/1.1 404 "));
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: shop.localhost\r\nhost: till.localhost\r\nconnection: close\r\n\r\n",
    ] {
        let answer = host.raw(request).await;
        assert!(answer.contains(" 400 Bad Request\r\n"), "{answer}");
    }
    let proxy = "CONNECT shop.localhost:443 HTTP/1.1\r\nhost: shop.localhost\r\nconnection: close\r\n\r\n";
    assert!(host.raw(proxy).await.starts_with("HTTP/1.1 405 "));
    host.stop().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_without_why() {
    let limits = Limits { request_ms: 300, memory_bytes: 16 << 20, ..Limits::default() };
    let host = Host::start_with(limits).await;
    for (component, status, detail) in [
        (guests::traps(), 502, "app `shop` did not answer"),
        (guests::recurses_forever(), 502, "app `shop` did not answer"),
        (guests::eats_memory(), 502, "app `shop` did not answer"),
        (guests::says_nothing(), 502, "app `shop` did not answer"),
        (guests::exits(), 502, "app `shop` did not answer"),
        (guests::gives_an_error(), 502, "app `shop` did not answer"),
        (guests::answers(103), 502, "app `shop` did not answer"),
        (guests::spins_forever(), 504, "app `shop` did not answer in time"),
        (guests::answers_after(60_000), 504, "app `shop` did not answer in time"),
    ] {
        host.go_live("shop", &id(1), &component).await;
        let problem = host.problem("shop", "/").await;
        assert_eq!(problem["status"], status);
        assert_eq!(problem["detail"], detail);
        assert_eq!(problem["id"].as_str().unwrap().len(), 26);
        assert_eq!(problem.as_object().unwrap().len(), 5, "{problem}");
        host.until_quiet("shop").await;
        // Another id, since the first one stands for its component.
        host.go_live("shop", &id(2), &guests::answers(200)).await;
    }
    let view = host.status("shop").await;
    assert_eq!((&view["requests"], &view["failures"]), (&json!(9), &json!(9)));
    host.stop().await;
}

/// On one thread, so that the log of this test is its own.
#[tokio::test]
async fn what_an_app_prints_and_why_it_failed_is_logged() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let logger = tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(file.reopen().unwrap())).finish();
    let _logging = tracing::subscriber::set_default(logger);
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::prints_and_traps()).await;
    let problem = host.problem("shop", "/").await;
    host.stop().await;

    let log = std::fs::read_to_string(file.path()).unwrap();
    let lines = |part: &str| log.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    let printed = lines("stream=\"stdout\"");
    assert_eq!(printed.len(), 2, "{log}");
    assert!(printed[0].contains(": one app=shop release=01K") && printed[0].contains(" INFO "), "{}", printed[0]);
    assert!(printed[1].contains(": \u{fffd}[2Jtwo app=shop"), "{}", printed[1]);
    let [failed] = lines(problem["id"].as_str().unwrap())[..] else { panic!("{log}") };
    assert!(failed.contains("WARN") && failed.contains("it trapped in `handle`: wasm trap"), "{failed}");
}

#[tokio::test]
async fn control_hears_why_a_candidate_is_not_healthy() {
    let limits = Limits { request_ms: 300, memory_bytes: 16 << 20, ..Limits::default() };
    let host = Host::start_with(limits).await;
    for (component, message) in [
        (guests::traps(), "it trapped in `handle`: wasm trap: wasm `unreachable` instruction executed"),
        (guests::recurses_forever(), "it reached its limit of 512 KiB of stack"),
        (guests::eats_memory(), "it reached its limit of 16 MiB of memory"),
        (guests::says_nothing(), "it returned without an answer"),
        (guests::exits(), "it called exit(1) instead of answering"),
        (guests::gives_an_error(), "it gave the error `ErrorCode::ConnectionRefused` instead of an answer"),
        (guests::answers(103), "it answered with status 103, which an app cannot give"),
        (guests::spins_forever(), "it did not end within 300 ms"),
        (guests::traps_within_its_answer(), "its answer broke off"),
    ] {
        host.put("shop", &id(1), &component).await;
        let health = host.health(&id(1), "/health", 0).await;
        assert_eq!((&health["healthy"], &health["status"]), (&json!(false), &json!(0)));
        assert!(health["message"].as_str().unwrap().contains(message), "{health} should be `{message}`");
        let (status, refused) = host.switch("shop", json!({ "release": id(1), "keep": [] })).await;
        assert_eq!(status, 409, "{refused}");
        assert_eq!(host.order("DELETE", &format!("/releases/{}", id(1)), "").await.0, 200);
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_loops_leaves_room_for_others() {
    let host = Host::start_with(Limits { request_ms: 3_000, ..Limits::default() }).await;
    host.go_live("bad", &id(1), &guests::spins_forever()).await;
    host.go_live("good", &id(2), &guests::answers(200)).await;
    let bad: Vec<_> = (0..8).map(|_| tokio::spawn(host.request("GET", "bad", "/").send())).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    assert_eq!(host.get("good", "/").await.0, 200);
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    for request in bad {
        assert_eq!(told(request.await.unwrap().unwrap()).await.0, 504);
    }
    host.stop().await;
}

#[tokio::test]
async fn the_network_is_refused() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::calls_out()).await;
    assert_eq!(host.get("shop", "/").await, (200, "ok".into()));
    host.stop().await;
}

#[tokio::test]
async fn a_body_is_capped_with_and_without_a_length() {
    let host = Host::start_with(Limits { body_bytes: 100_000, ..Limits::default() }).await;
    host.go_live("shop", &id(1), &guests::reads_the_body()).await;
    for (bytes, status) in [(0, 200), (100_000, 200), (100_001, 413), (4_000_000, 413)] {
        let body = vec![b'x'; bytes];
        let known = host.request("POST", "shop", "/").body(body.clone()).send().await.unwrap();
        assert_eq!(known.status().as_u16(), status, "{bytes} bytes");
        let chunked = tokio_util::io::ReaderStream::new(std::io::Cursor::new(body));
        let chunked = host.request("POST", "shop", "/").body(reqwest::Body::wrap_stream(chunked));
        assert_eq!(chunked.send().await.unwrap().status().as_u16(), status, "{bytes} bytes in chunks");
    }
    assert_eq!(host.status("shop").await["failures"], 0, "a client's fault is not the app's");
    host.stop().await;
}

#[tokio::test]
async fn an_answer_is_streamed_and_its_reader_may_go() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::streams_forever(20)).await;
    let mut response = host.request("GET", "shop", "/").send().await.unwrap();
    for _ in 0..5 {
        assert_eq!(response.chunk().await.unwrap().unwrap(), "ok");
    }
    assert_eq!(host.status("shop").await["in_flight"], 1);
    drop(response);
    host.until_quiet("shop").await;
    assert_eq!(host.status("shop").await["failures"], 0);
    host.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_guest() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::spins_forever()).await;
    let mut stream = TcpStream::connect(host.bound.listen).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop.localhost\r\n\r\n").await.unwrap();
    while host.status("shop").await["in_flight"] != 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let began = Instant::now();
    host.until_quiet("shop").await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    host.stop().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::traps_within_its_answer()).await;
    let response = host.request("GET", "shop", "/").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.text().await.is_err(), "the end of the body is missing");
    host.until_quiet("shop").await;
    assert_eq!(host.status("shop").await["failures"], 1);

    let host = Host::start_with(Limits { request_ms: 200, ..Limits::default() }).await;
    host.go_live("shop", &id(1), &guests::streams_forever(20)).await;
    let response = host.request("GET", "shop", "/").send().await.unwrap();
    assert!(response.text().await.is_err(), "time was over before the end");
    host.stop().await;
}

#[tokio::test]
async fn an_app_has_so_many_requests_at_once() {
    let host = Host::start_with(Limits { concurrent_requests: 2, ..Limits::default() }).await;
    host.go_live("shop", &id(1), &guests::answers_after(500)).await;
    host.go_live("till", &id(2), &guests::answers(200)).await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(host.request("GET", "shop", "/").send())).collect();
    while host.status("shop").await["in_flight"] != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let full = host.request("GET", "shop", "/").send().await.unwrap();
    assert_eq!((full.status().as_u16(), &full.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(host.get("till", "/").await.0, 200, "another app has its own places");
    for request in running {
        assert_eq!(request.await.unwrap().unwrap().status().as_u16(), 200);
    }
    host.stop().await;
}

#[tokio::test]
async fn all_requests_share_the_memory_of_apps() {
    // A guest of these tests has 1 MiB from the start.
    let host = Host::start_with(Limits { memory_bytes_total: 2 << 20, ..Limits::default() }).await;
    host.go_live("shop", &id(1), &guests::answers_after(1_500)).await;
    let running: Vec<_> = (0..2).map(|_| tokio::spawn(host.request("GET", "shop", "/").send())).collect();
    while host.status("shop").await["in_flight"] != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let problem = host.problem("shop", "/").await;
    assert_eq!(
        (&problem["status"], &problem["detail"]),
        (&json!(503), &json!("app `shop` cannot take this request now"))
    );
    for request in running {
        assert_eq!(request.await.unwrap().unwrap().status().as_u16(), 200);
    }
    host.until_quiet("shop").await;
    assert_eq!(host.get("shop", "/").await.0, 200, "what was taken is given back");
    host.stop().await;
}

#[tokio::test]
async fn what_is_no_app_is_refused_with_the_reason() {
    let host = Host::start().await;
    let imports = "(component (import \"wasi:sockets/tcp@0.2.6\" (instance)) (instance $i)
                     (export \"wasi:http/incoming-handler@0.2.0\" (instance $i)))";
    for (bytes, reason) in [
        (b"#!/bin/sh".to_vec(), "it is not WebAssembly"),
        (wat::parse_str("(module)").unwrap(), "it is a core WebAssembly module, not a component"),
        (wat::parse_str("(component)").unwrap(), "it does not export `wasi:http/incoming-handler@0.2`"),
        (wat::parse_str(imports).unwrap(), "it imports `wasi:sockets/tcp@0.2.6`, which apps do not get"),
        (b"\0asm\x0d\0\x01\0rubbish".to_vec(), "it is not a component that this host runs"),
    ] {
        let (status, refused) = host.order("PUT", &format!("/releases/{}?app=shop&version=1", id(1)), bytes).await;
        assert_eq!(status, 422);
        assert!(refused["message"].as_str().unwrap().starts_with(reason), "{refused}");
    }
    assert_eq!(host.status("shop").await, Value::Null);
    let (status, _) = host.order("PUT", &format!("/releases/{}?app=shop", id(1)), vec![0; (64 << 20) + 1]).await;
    assert_eq!(status, 413);
    host.stop().await;
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let host = Host::start().await;
    host.put("shop", &id(1), &guests::answers(200)).await;
    let release = format!("/releases/{}", id(1));
    for (method, path, body, status) in [
        ("PUT", "/releases/one?app=shop&version=1".into(), "", 400),
        ("PUT", format!("{release}?app=Shop&version=1"), "", 400),
        ("PUT", release.clone(), "", 400),
        ("PUT", format!("{release}?app=shop&version={}", "1".repeat(257)), "", 400),
        ("PUT", format!("{release}?app=till&version=1"), "", 409),
        ("POST", format!("{release}/health"), r#"{"path":"health"}"#, 400),
        ("POST", format!("{release}/health"), r#"{"path":"http://example.org/"}"#, 400),
        ("POST", format!("{release}/health"), "{}", 400),
        ("POST", format!("{release}/health"), "no JSON", 400),
        ("POST", format!("/releases/{}/health", id(2)), r#"{"path":"/"}"#, 404),
        ("POST", "/apps/shop/switch".into(), r#"{"release":"one"}"#, 400),
        ("POST", "/apps/shop/switch".into(), r#"{"release":"01K00000000000000000000002"}"#, 404),
        ("POST", "/apps/till/switch".into(), r#"{"release":"01K00000000000000000000001","trusted":true}"#, 404),
        ("POST", "/apps/shop/switch".into(), r#"{"release":"01K00000000000000000000001","truste":true}"#, 400),
        ("PATCH", release.clone(), "", 405),
        ("GET", "/nowhere".into(), "", 404),
    ] {
        let (answered, refused) = host.order(method, &path, body).await;
        assert_eq!(answered, status, "{method} {path} {body}: {refused}");
        assert!(refused["message"].is_string(), "{method} {path} {body}: {refused}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_stop_lets_requests_end() {
    let host = Host::start().await;
    host.go_live("shop", &id(1), &guests::answers_after(300)).await;
    let request = tokio::spawn(host.request("GET", "shop", "/").send());
    while host.status("shop").await["in_flight"] != 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.begin_to_stop();
    assert_eq!(told(request.await.unwrap().unwrap()).await, (200, "ok".into()));
    let listen = host.bound.listen;
    host.stop().await;
    assert!(TcpStream::connect(listen).await.is_err());
}

#[tokio::test]
async fn a_silent_client_is_let_go() {
    let host = Host::start().await;
    let mut stream = TcpStream::connect(host.bound.listen).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(12), stream.read_to_end(&mut answer));
    closed.await.expect("the head has to come within 10 s").unwrap();
    host.stop().await;
}

#[tokio::test]
async fn wrong_options_are_named() {
    let run = |options| slipway_apps::run(options, |_| panic!("it should not start"), CancellationToken::new());
    let mut open = options(Limits::default());
    open.admin = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(run(open).await, Err(Error::AdminNotLocal(_))));

    let mut silent = options(Limits::default());
    silent.token.clear();
    assert!(matches!(run(silent).await, Err(Error::NoToken)));

    let taken = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = taken.local_addr().unwrap();
    let mut late = options(Limits::default());
    late.listen = address;
    assert_eq!(
        run(late).await.unwrap_err().to_string(),
        format!(
            "cannot listen on `{address}`, which another program uses: stop that program, or give the app listener another address"
        )
    );
}
