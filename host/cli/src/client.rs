//! The client of the API.

use crate::args::Server;
use crate::output::Hinted;
use anyhow::{Context, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may take to connect and to answer, beyond what it was asked to wait.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(60);

/// Speaks to a server.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    server: String,
    token: String,
}

/// A problem that the server has told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .body.get("detail").and_then(Value::as_str).unwrap_or("the server refused the request"))]
pub(crate) struct Problem {
    /// As it came (RFC 9457).
    pub(crate) body: Value,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

/// The folder of a server on this machine when nothing else is said.
pub(crate) fn default_data() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_DATA_HOME").map_or_else(|| home().join(".local/share"), PathBuf::from).join("slipway")
}

impl Api {
    /// A client by the command line.
    pub(crate) fn new(args: &Server) -> anyhow::Result<Self> {
        let token = match (&args.token_file, std::env::var("SLIPWAY_TOKEN")) {
            (Some(file), _) => read_token(file)?,
            (None, Ok(token)) => token,
            (None, Err(_)) => read_token(&default_data().join("token"))?,
        };
        Self::at(&args.server, &token)
    }

    /// A client for a server.
    pub(crate) fn at(server: &str, token: &str) -> anyhow::Result<Self> {
        let client = Client::builder().connect_timeout(CONNECT).tcp_nodelay(true).build()?;
        Ok(Self { client, server: server.trim_end_matches('/').to_owned(), token: token.trim().to_owned() })
    }

    /// A request to be sent by [`Self::send`].
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.server)).bearer_auth(&self.token)
    }

    /// Sends a request and reads the answer, or the problem.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let response = self.open(request.timeout(ANSWER + ANSWER)).await?;
        response.json().await.context("the server's answer is no JSON")
    }

    /// Sends a request whose answer is a stream.
    pub(crate) async fn open(&self, request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| {
            anyhow::Error::new(error).context(Hinted {
                message: format!("cannot reach the server at `{}`", self.server),
                hint: "start one with `slipway serve`, or name another with `--server` or $SLIPWAY_SERVER".into(),
            })
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem: Value = response.json().await.unwrap_or_default();
        if problem.is_null() {
            bail!("the server answered {status}");
        }
        let hint = match (problem.get("hint").and_then(Value::as_str), status) {
            (_, StatusCode::UNAUTHORIZED) => Some("give the server's token with `--token-file` or $SLIPWAY_TOKEN"),
            (hint, _) => hint,
        };
        let hint = hint.map(str::to_owned);
        Err(Problem { body: problem, hint }.into())
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}

fn read_token(file: &std::path::Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        anyhow::Error::new(error).context(Hinted {
            message: format!("cannot read the token in `{}`", file.display()),
            hint: "name the server's token file with `--token-file`; `slipway serve` prints where it is".into(),
        })
    })
}

/// The text at a key.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
