//! The client of the API.

use crate::args::Server;
use crate::error::Told;
use crate::files;
use anyhow::Context;
use reqwest::{Client, Method, RequestBuilder};
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

/// An address of the API. The only way to one is [`path`], so that no name becomes a part
/// of an address unencoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(String);

/// The address with these segments below `/v1`.
pub(crate) fn path(segments: &[&str]) -> Path {
    Path(segments.iter().fold("/v1".to_owned(), |path, segment| format!("{path}/{}", encoded(segment))))
}

impl Path {
    /// Adds a key to the query.
    pub(crate) fn query(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let sign = if self.0.contains('?') { '&' } else { '?' };
        self.0.push_str(&format!("{sign}{}={}", encoded(key), encoded(&value.to_string())));
        self
    }
}

/// Everything but letters, digits, `-`, `_`, `.` and `~` as `%XX` (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A problem that the server has told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .body.get("detail").and_then(Value::as_str).unwrap_or("the server refused the request"))]
pub(crate) struct Problem {
    /// As it came (RFC 9457).
    pub(crate) body: Value,
    /// What to do next, in the words of the command line.
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(body: Value, hint: Option<String>) -> Self {
        Self { body, hint }
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.body.get("status").and_then(Value::as_u64);
        status.and_then(|status| u16::try_from(status).ok()).unwrap_or(500)
    }

    pub(crate) fn code(&self) -> &str {
        text(&self.body, "code")
    }
}

/// What to do about a problem. The server's own hints speak of requests; where they do, a
/// person at the command line is told a command instead.
fn advice(path: &str, code: &str, told: Option<&str>) -> Option<String> {
    let resource = path.strip_prefix("/v1/").unwrap_or(path).split(['/', '?']).next().unwrap_or_default();
    let own = match (code, resource) {
        ("unauthorized", _) => "give the server's token with `--token-file` or $SLIPWAY_TOKEN",
        ("forbidden", _) => {
            "`slipway token create --role admin --name NAME`, by somebody who has such a token, makes one"
        }
        ("not-found", "pipelines") => {
            "`slipway pipeline list` shows those there are, `slipway pipeline add NAME REPOSITORY` adds one"
        }
        ("not-found", "runs") => "`slipway runs` lists them",
        ("not-found", "apps") => "`slipway releases` lists the apps: one is there once a pipeline has released it",
        ("not-found", "tokens") => "`slipway token list` shows those there are",
        ("invalid-body" | "invalid-query" | "invalid-path" | "not-json" | "method-not-allowed", _) => {
            "is the server of another version? `slipway --version` tells that of this program"
        }
        ("last-admin", _) => "make another one first: `slipway token create --role admin --name NAME`",
        ("name-taken", _) => "choose another name, or `slipway token revoke` that token first",
        ("internal", _) => "the server's log tells more",
        _ => return told.map(str::to_owned),
    };
    Some(own.to_owned())
}

/// The folder of a server on this machine when nothing else is said.
pub(crate) fn default_data() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // One that is empty or relative counts as not set (XDG Base Directory Specification).
    let data = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let home = || set("HOME").filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("."));
    data.unwrap_or_else(|| home().join(".local/share")).join("slipway")
}

/// Refuses the address of a server that this program cannot speak to.
pub(crate) fn check_server(server: &str) -> anyhow::Result<()> {
    let refuse = |message: String, hint: &str| Err(Told::usage("invalid-server", message).hint(hint).into());
    match server.split_once("://") {
        Some(("http", host)) if !host.is_empty() => Ok(()),
        Some(("https", _)) => refuse(
            format!("`{server}` is an address with TLS, which this program does not speak yet"),
            "reach the server through a tunnel, such as `ssh -L 7077:127.0.0.1:7077 HOST`, and name \
             `http://127.0.0.1:7077`",
        ),
        _ => refuse(
            format!("`{server}` is not the address of a server"),
            "give one such as `http://127.0.0.1:7077` with `--server` or $SLIPWAY_SERVER",
        ),
    }
}

impl Api {
    /// A client by the command line.
    pub(crate) fn new(args: &Server) -> anyhow::Result<Self> {
        check_server(&args.server)?;
        let hint = "name the server's token file with `--token-file`; `slipway serve` prints where it is";
        let token = match (&args.token_file, std::env::var("SLIPWAY_TOKEN")) {
            (Some(file), _) => files::token(file, hint)?,
            (None, Ok(token)) => token,
            (None, Err(_)) => files::token(&default_data().join("token"), hint)?,
        };
        Self::at(&args.server, &token)
    }

    /// A client for a server.
    pub(crate) fn at(server: &str, token: &str) -> anyhow::Result<Self> {
        let client = Client::builder().connect_timeout(CONNECT).tcp_nodelay(true).build()?;
        Ok(Self { client, server: server.trim_end_matches('/').to_owned(), token: token.trim().to_owned() })
    }

    /// Whether the server is on this machine, so that paths mean the same there.
    pub(crate) fn is_here(&self) -> bool {
        let host = reqwest::Url::parse(&self.server).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
    }

    /// The server's address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// A request to be sent by [`Self::send`].
    pub(crate) fn request(&self, method: Method, path: &Path) -> RequestBuilder {
        self.client.request(method, format!("{}{}", self.server, path.0)).bearer_auth(&self.token)
    }

    /// Sends a request and reads the answer, or the problem.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let response = self.open(request.timeout(ANSWER + ANSWER)).await?;
        response.json().await.context("the server's answer is no JSON")
    }

    /// Sends a request whose answer is a stream.
    pub(crate) async fn open(&self, request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| {
            Told::errored("unreachable", format!("cannot reach the server at `{}`", self.server))
                .hint("start one with `slipway serve`, or name another with `--server` or $SLIPWAY_SERVER")
                .because(error)
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let path = response.url().path().to_owned();
        let body: Value = response.json().await.unwrap_or_default();
        if !body.is_object() {
            return Err(Told::errored("unreachable", format!("the server at `{}` answered {status}", self.server))
                .hint("is that a Slipway server?")
                .into());
        }
        let hint = advice(&path, text(&body, "code"), body.get("hint").and_then(Value::as_str));
        Err(Problem::new(body, hint).into())
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &Path) -> anyhow::Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends JSON.
    pub(crate) async fn put(&self, path: &Path, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &Path, body: &Value) -> anyhow::Result<Value> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Takes something away.
    pub(crate) async fn delete(&self, path: &Path) -> anyhow::Result<Value> {
        self.send(self.request(Method::DELETE, path)).await
    }
}

/// The text at a key, as it came.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a key, made harmless for a terminal.
pub(crate) fn shown(value: &Value, key: &str) -> String {
    crate::output::plain(text(value, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_becomes_a_part_of_an_address() {
        assert_eq!(path(&["pipelines", "shop-2", "runs"]).0, "/v1/pipelines/shop-2/runs");
        assert_eq!(path(&["pipelines", "a?b#c/../d e%41ä"]).0, "/v1/pipelines/a%3Fb%23c%2F..%2Fd%20e%2541%C3%A4");
        let with_query = path(&["runs"]).query("limit", 3).query("stage", "a&b=c");
        assert_eq!(with_query.0, "/v1/runs?limit=3&stage=a%26b%3Dc");
    }

    #[test]
    fn what_to_do_is_told_in_commands() {
        let http = Some("add it with `PUT /v1/pipelines/{name}`");
        for (path, code, command) in [
            ("/v1/pipelines/x/runs", "not-found", "slipway pipeline add"),
            ("/v1/runs/x", "not-found", "slipway runs"),
            ("/v1/apps/x/releases", "not-found", "slipway releases"),
            ("/v1/tokens/x", "not-found", "slipway token list"),
            ("/v1/runs", "unauthorized", "--token-file"),
            ("/v1/runs", "invalid-query", "slipway --version"),
        ] {
            let hint = advice(path, code, http).unwrap();
            assert!(hint.contains(command) && !hint.contains("/v1"), "{code}: {hint}");
        }
        // What speaks of files and repositories is good as it is.
        assert_eq!(advice("/v1/pipelines/x/runs", "no-definition", Some("commit one")).as_deref(), Some("commit one"));
    }

    #[test]
    fn only_a_server_that_can_be_spoken_to_is_taken() {
        for good in ["http://127.0.0.1:7077", "http://build.example/"] {
            check_server(good).unwrap();
        }
        for bad in ["https://build.example", "build.example:7077", "", "http://", "ftp://x"] {
            assert!(check_server(bad).is_err(), "{bad}");
        }
    }
}
