//! A running app host, and its two kinds of clients.
#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what is not as expected fails the test")]

use reqwest::{Client, Response, StatusCode, header};
use serde_json::{Value, json};
use slipway_apps::{Bound, Error, Limits, Options};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The token of every test's host.
pub(crate) const TOKEN: &str = "a-token-for-tests";
/// Any free port of the loopback.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Options with the token and free ports.
pub(crate) fn options(limits: Limits) -> Options {
    Options {
        listen: ANY,
        admin: ANY,
        token: TOKEN.into(),
        compiler: slipway_engine::Compiler::here(),
        expected: Vec::new(),
        limits,
    }
}

/// A release's id that ends in this digit.
pub(crate) fn id(digit: u8) -> String {
    format!("01K0000000000000000000000{digit}")
}

/// A running host. Dropping it does not end it: `stop` does.
pub(crate) struct Host {
    /// Where it listens.
    pub(crate) bound: Bound,
    client: Client,
    stop: CancellationToken,
    run: JoinHandle<Result<(), Error>>,
}

impl Host {
    /// Starts a host with the ordinary limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    /// Starts a host with these limits.
    pub(crate) async fn start_with(limits: Limits) -> Self {
        Self::start_from(options(limits)).await
    }

    /// Starts a host with these options.
    pub(crate) async fn start_from(options: Options) -> Self {
        let (sender, receiver) = oneshot::channel();
        let stop = CancellationToken::new();
        let ready = move |bound| sender.send(bound).unwrap();
        let run = tokio::spawn(slipway_apps::run(options, ready, stop.clone()));
        let bound = receiver.await.unwrap();
        Self { bound, client: Client::builder().no_proxy().build().unwrap(), stop, run }
    }

    /// Ends it, and waits until it has ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(15), self.run).await.unwrap().unwrap().unwrap();
    }

    /// Begins to end it.
    pub(crate) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// An order of control, and its answer.
    pub(crate) async fn order(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self
            .client
            .request(method.parse().unwrap(), format!("http://{}{path}", self.bound.admin))
            .bearer_auth(TOKEN)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// Sends a component.
    pub(crate) async fn put(&self, app: &str, id: &str, component: &[u8]) {
        let path = format!("/releases/{id}?app={app}&version=v{id}");
        assert_eq!(self.order("PUT", &path, component.to_vec()).await, (200, json!({})));
    }

    /// Asks a release how it is.
    pub(crate) async fn health(&self, id: &str, path: &str, within_ms: u32) -> Value {
        let body = json!({ "path": path, "within_ms": within_ms }).to_string();
        let (status, health) = self.order("POST", &format!("/releases/{id}/health"), body).await;
        assert_eq!(status, 200, "{health}");
        health
    }

    /// Orders a switch.
    pub(crate) async fn switch(&self, app: &str, body: Value) -> (u16, Value) {
        self.order("POST", &format!("/apps/{app}/switch"), body.to_string()).await
    }

    /// Sends a component and gives it the traffic, healthy or not.
    pub(crate) async fn go_live(&self, app: &str, id: &str, component: &[u8]) {
        self.put(app, id, component).await;
        let switched = self.switch(app, json!({ "release": id, "keep": [], "trusted": true })).await;
        assert_eq!(switched, (200, json!({})));
    }

    /// What the host says of an app, or null.
    pub(crate) async fn status(&self, app: &str) -> Value {
        let (_, status) = self.order("GET", "/status", "").await;
        status["apps"].as_array().unwrap().iter().find(|view| view["app"] == app).cloned().unwrap_or(Value::Null)
    }

    /// Waits until no request of an app runs.
    pub(crate) async fn until_quiet(&self, app: &str) {
        for _ in 0..500 {
            if self.status(app).await["in_flight"] == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("requests of app `{app}` still run: {}", self.status(app).await);
    }

    /// A request of a user, on a connection of its own.
    pub(crate) fn request(&self, method: &str, app: &str, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method.parse().unwrap(), format!("http://{}{path}", self.bound.listen))
            .header(header::HOST, format!("{app}.localhost:{}", self.bound.listen.port()))
    }

    /// A GET of a user.
    pub(crate) async fn get(&self, app: &str, path: &str) -> (u16, String) {
        told(self.request("GET", app, path).send().await.unwrap()).await
    }

    /// A GET of a user that has to fail with a problem.
    pub(crate) async fn problem(&self, app: &str, path: &str) -> Value {
        let response = self.request("GET", app, path).send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let status = response.status();
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["status"], status.as_u16());
        assert_eq!(problem["title"], StatusCode::canonical_reason(&status).unwrap());
        problem
    }

    /// Sends bytes to the users' listener and reads until it closes the connection.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.bound.listen).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// An answer's status and body.
pub(crate) async fn told(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

/// One connection that stays open and asks the same again and again, with as little effort
/// as possible.
pub(crate) struct Asker {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Asker {
    /// Connects.
    pub(crate) async fn new(host: SocketAddr, app: &str, path: &str) -> Self {
        let stream = TcpStream::connect(host).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {app}.localhost\r\n\r\n").into_bytes();
        Self { stream, request, buffer: Vec::new() }
    }

    /// Asks once. The answer has to have a `content-length`.
    pub(crate) async fn ask(&mut self) -> (u16, String) {
        self.stream.write_all(&self.request).await.unwrap();
        self.buffer.clear();
        let (head, length) = loop {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the connection was closed");
            let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            self.buffer.drain(..end + 4);
            break (head, length);
        };
        while self.buffer.len() < length {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the connection was closed");
        }
        (head[9..12].parse().unwrap(), String::from_utf8(self.buffer.clone()).unwrap())
    }
}
