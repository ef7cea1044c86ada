use super::*;
use crate::api::{Tokens, guard_worker};
use crate::apps::fake::FakeHost;
use crate::apps::{Addresses, Apps};
use crate::config::Config;
use crate::http::Client;
use crate::scheduler::tests::{ONE, Server};
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use futures_util::{SinkExt, StreamExt};
use slipway_domain::address::Reach;
use slipway_protocol::lease::Component;
use slipway_protocol::message::{self, decode, encode};
use slipway_protocol::{Call, FromWorker, LEASE_HEADER, SENT_AWAY, SLOTS_MAX, VERSION};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tower::ServiceExt;

const TOKEN: &str = "a token";

/// A server's scheduler with the routes of workers before it.
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) broker: Broker,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start(folder.path()).await;
        let addresses = Addresses::at(([127, 0, 0, 1], 80).into());
        let apps = Apps::new(server.store.clone(), server.blobs.clone(), Arc::new(FakeHost::default()), addresses);
        let http = Client::new(Reach::default(), server.blobs.clone()).unwrap();
        let (config, secrets) = (Arc::new(Config::default()), server.secrets.clone());
        let (scheduler, store) = (server.scheduler.clone(), server.store.clone());
        let broker = Broker { scheduler, store, apps, config, secrets, http };
        let tokens = Tokens::new(server.store.clone());
        tokens.accept_worker(TOKEN);
        let questions = server.questions.take().unwrap();
        let workers = Workers::new(
            server.scheduler.clone(),
            broker.clone(),
            server.plugins.clone(),
            server.blobs.clone(),
            questions,
        );
        Self { router: guard_worker(workers.router(), tokens), server, broker, _folder: folder }
    }

    async fn ask(&self, method: Method, path: &str, key: &str, body: &'static [u8]) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {TOKEN}"));
        let request = request.header(LEASE_HEADER, key).body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status(), to_bytes(response.into_body(), usize::MAX).await.unwrap().into())
    }

    /// Listens, so that workers can dial.
    pub(super) async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/worker/v1/connect", listener.local_addr().unwrap());
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) async fn dial(url: &str, token: &str) -> Socket {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

pub(super) async fn say(socket: &mut Socket, message: &FromWorker) {
    socket.send(Message::Binary(encode(message).into())).await.unwrap();
}

/// The next message; `None` once the server has closed the connection.
pub(super) async fn hear(socket: &mut Socket) -> Option<FromControl> {
    match socket.next().await? {
        Ok(Message::Binary(bytes)) => Some(decode(&bytes).unwrap()),
        Ok(Message::Close(_)) | Err(_) => None,
        Ok(other @ (Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => panic!("{other}"),
    }
}

fn hello(protocol: u32, worker: &str) -> FromWorker {
    FromWorker::Hello { protocol, worker: worker.into(), version: "0".into(), slots: 1, holds: Vec::new() }
}

async fn greeted(url: &str) -> Socket {
    let mut socket = dial(url, TOKEN).await;
    say(&mut socket, &hello(VERSION, "w")).await;
    assert_eq!(hear(&mut socket).await, Some(FromControl::Welcome { resumed: Vec::new() }));
    socket
}

pub(super) async fn leased(socket: &mut Socket) -> slipway_protocol::Lease {
    match hear(socket).await {
        Some(FromControl::Lease(lease)) => *lease,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bulk_data_takes_the_key_of_its_own_lease() {
    let bench = Bench::new().await;
    bench.server.run(ONE).await;
    bench.server.run(ONE).await;
    let leases = bench.server.worker("embedded/w", 2, &[]).leases();
    let (mine, other) = (&leases[0], &leases[1]);
    let at = |epoch: u64, rest: &str| format!("/worker/v1/leases/{epoch}/{rest}");
    let digest = format!("sha256:{:064}", 9);
    for (method, rest) in [
        (Method::GET, "component"),
        (Method::GET, "source"),
        (Method::GET, &format!("blobs/{digest}")),
        (Method::PUT, "blobs"),
    ] {
        for key in ["", "00", other.key.as_str()] {
            let (status, _) = bench.ask(method.clone(), &at(mine.epoch, rest), key, b"bytes").await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {rest} with `{key}`");
        }
        let (status, _) = bench.ask(method.clone(), &at(mine.epoch + 7, rest), &mine.key, b"bytes").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {rest} of no lease");
    }
    // With the right one it gets as far as what there is.
    let (status, _) = bench.ask(Method::GET, &at(mine.epoch, "component"), &mine.key, b"").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = bench.ask(Method::GET, &at(mine.epoch, &format!("blobs/{digest}")), &mine.key, b"").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "neither an input nor its own");
    let (status, _) = bench.ask(Method::GET, &at(mine.epoch, "blobs/nonsense"), &mine.key, b"").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, body) = bench.ask(Method::PUT, &at(mine.epoch, "blobs"), &mine.key, b"bytes").await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, body["size"].as_u64()), (StatusCode::OK, Some(5)));
    let (status, _) = bench.ask(Method::GET, &format!("/worker/v1/components/{digest}"), "", b"").await;
    assert_eq!(status, StatusCode::FORBIDDEN, "no worker was asked about it");
}

#[tokio::test]
async fn a_lease_uploads_as_much_as_it_may() {
    let bench = Bench::new().await;
    bench.server.run(ONE).await;
    let lease = bench.server.worker("embedded/w", 1, &[]).lease();
    let scheduler = &bench.server.scheduler;
    scheduler.uploaded(lease.epoch, "other", scheduler.upload_bytes_left(lease.epoch) - 8);
    let blobs = format!("/worker/v1/leases/{}/blobs", lease.epoch);
    assert_eq!(bench.ask(Method::PUT, &blobs, &lease.key, b"nine byte").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(scheduler.upload_bytes_left(lease.epoch), 8, "what was refused does not count");
    assert_eq!(bench.ask(Method::PUT, &blobs, &lease.key, b"8 bytes!").await.0, StatusCode::OK);
    assert_eq!(bench.ask(Method::PUT, &blobs, &lease.key, b"1").await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_worker_says_who_it_is_before_anything_else() {
    let bench = Bench::new().await;
    let url = bench.listen().await;
    let long = "x".repeat(65);
    for first in [
        FromWorker::Renew { epochs: Vec::new() },
        hello(VERSION + 1, "w"),
        hello(VERSION, ""),
        hello(VERSION, "a b"),
        hello(VERSION, &long),
    ] {
        let mut socket = dial(&url, TOKEN).await;
        say(&mut socket, &first).await;
        assert_eq!(hear(&mut socket).await, None, "{first:?}");
        assert_eq!(bench.server.scheduler.workers(), 0);
    }
    let mut socket = dial(&url, TOKEN).await;
    socket.send(Message::Binary(vec![1, 2, 3].into())).await.unwrap();
    assert_eq!(hear(&mut socket).await, None, "no message at all");

    let mut socket = greeted(&url).await;
    assert_eq!(bench.server.scheduler.workers(), 1);
    say(&mut socket, &hello(VERSION, "w")).await;
    assert_eq!(hear(&mut socket).await, None, "it has said so before");
}

#[tokio::test]
async fn a_worker_that_falls_silent_is_disconnected_and_keeps_its_lease_until_that_runs_out() {
    let bench = Bench::new().await;
    let url = bench.listen().await;
    let mut socket = greeted(&url).await;
    bench.server.run(ONE).await;
    let lease = leased(&mut socket).await;
    bench.server.durable().await;
    // From here on only time passes.
    tokio::time::pause();
    assert_eq!(hear(&mut socket).await, None);
    assert!(bench.server.scheduler.is_held(lease.epoch));
    bench.server.scheduler.expire();
    assert!(!bench.server.scheduler.is_held(lease.epoch), "a minute is longer than a lease");
}

#[tokio::test]
async fn calls_that_a_worker_does_not_wait_between_cost_the_lease_and_harm_nobody() {
    let bench = Bench::new().await;
    let run = bench.server.run(ONE).await;
    let mut worker = bench.server.worker("embedded/w", 1, &[]);
    let lease = worker.lease();
    let blobs = format!("/worker/v1/leases/{}/blobs", lease.epoch);
    let mut calls = Vec::new();
    for (seq, bytes) in [(1, &b"one"[..]), (2, b"two")] {
        let (_, body) = bench.ask(Method::PUT, &blobs, &lease.key, bytes).await;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let digest = body["digest"].as_str().unwrap().to_owned();
        let call = Call::PutArtifact { name: "a".into(), media_type: "a/b".into(), digest };
        calls.push((seq, message::Body::Call { call }));
    }
    // Both are said before the first, which waits for the journal, is answered.
    for (seq, body) in calls {
        bench.broker.frame(&worker.speaker(), lease.epoch, seq, body);
    }
    assert!(!bench.server.scheduler.is_held(lease.epoch));
    let again = worker.lease();
    assert_eq!((again.run.as_str(), again.attempt), (run.as_str(), 2));
    bench.server.durable().await;
    assert_eq!(bench.server.store.artifacts(run.as_str()).await.unwrap(), [], "of a lost attempt nothing is left");
}

#[tokio::test]
async fn a_question_waits_for_a_worker_and_only_that_one_answers_it() {
    let connected = Arc::new(Connected::default());
    let asking = Arc::clone(&connected);
    let component = Component { name: "a".into(), digest: "b".into() };
    let question = Question { request: 7, component: component.clone() };
    let asked = tokio::spawn(async move { asking.ask(question).await });
    let (gone, _) = mpsc::unbounded_channel();
    let first = connected.add("remote", gone);
    tokio::task::yield_now().await;
    connected.remove(first);
    let (there, mut told) = mpsc::unbounded_channel();
    let second = connected.add("remote", there);
    assert_eq!(told.recv().await, Some(FromControl::Describe { request: 7, component }));
    asked.await.unwrap();
    let (idle, mut other_told) = mpsc::unbounded_channel();
    let third = connected.add("remote", idle);
    // Nobody has answered: the next time another is asked, and then nobody is left.
    for _again in 0..2 {
        connected.ask(Question { request: 7, component: Component { name: "a".into(), digest: "b".into() } }).await;
    }
    assert!(matches!(other_told.recv().await, Some(FromControl::Describe { request: 7, .. })));
    assert!(told.try_recv().is_err() && other_told.try_recv().is_err(), "each is asked once");
    // The server's own worker is asked before any other.
    let (own, mut own_told) = mpsc::unbounded_channel();
    connected.add(EMBEDDED, own);
    let (newer, _newer_told) = mpsc::unbounded_channel();
    connected.add("remote", newer);
    connected.ask(Question { request: 8, component: Component { name: "a".into(), digest: "b".into() } }).await;
    assert!(matches!(own_told.recv().await, Some(FromControl::Describe { request: 8, .. })));
    assert!(connected.was_asked(third, 7));
    for (connection, request, answers) in [(third, 7, false), (second, 8, false), (second, 7, true), (second, 7, false)]
    {
        assert_eq!(connected.was_asked(connection, request), answers, "{connection} {request}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_be_used_is_told_why() {
    let bench = Bench::new().await;
    let url = bench.listen().await;
    let offers = |slots| FromWorker::Hello {
        protocol: VERSION,
        worker: "w".into(),
        version: "0".into(),
        slots,
        holds: Vec::new(),
    };
    for (first, says) in [
        (hello(VERSION + 1, "w"), "use the same release for both"),
        (hello(VERSION, "a b"), "visible characters"),
        (offers(SLOTS_MAX + 1), "at most 1024 slots"),
    ] {
        let mut socket = dial(&url, TOKEN).await;
        say(&mut socket, &first).await;
        let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("it is sent away: {first:?}") };
        assert_eq!(u16::from(close.code), SENT_AWAY);
        assert!(close.reason.contains(says) && close.reason.len() <= 123, "{}", close.reason);
    }
    let mut socket = dial(&url, TOKEN).await;
    say(&mut socket, &offers(SLOTS_MAX)).await;
    assert!(matches!(hear(&mut socket).await, Some(FromControl::Welcome { .. })));
}

#[tokio::test]
async fn what_a_revoked_worker_has_said_of_a_plugin_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    let mut questions = server.questions.take().unwrap();
    let digest = server.blobs.put(axum::body::Bytes::from_static(b"component")).await.unwrap().digest;
    let ask = || {
        let (plugins, digest) = (server.plugins.clone(), digest.clone());
        tokio::spawn(async move { plugins.facts("p", &digest).await.unwrap() })
    };
    let mut answer = async |reason: &str, by: &str| {
        let asked = questions.recv().await.unwrap();
        let refused = message::Undescribed { reason: reason.into(), passing: false };
        server.plugins.answered(asked.request, Err(refused), by);
    };
    let (first, ()) = tokio::join!(ask(), answer("a lie", "stolen"));
    assert_eq!(first.unwrap().as_ref().as_ref().unwrap_err(), "a lie");
    assert_eq!(ask().await.unwrap().as_ref().as_ref().unwrap_err(), "a lie", "it is not asked twice");
    server.plugins.forget("another").await.unwrap();
    assert_eq!(ask().await.unwrap().as_ref().as_ref().unwrap_err(), "a lie", "it is in the store");
    server.plugins.forget("stolen").await.unwrap();
    let (second, ()) = tokio::join!(ask(), answer("the truth", "embedded"));
    assert_eq!(second.unwrap().as_ref().as_ref().unwrap_err(), "the truth");
}
