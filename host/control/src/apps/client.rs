//! The app host as a port, and the adapter that speaks to its process.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How long the app host may take beyond what it was asked to take.
const SLACK: Duration = Duration::from_secs(30);

/// What a health check answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// Whether it was healthy.
    pub healthy: bool,
    /// The HTTP status, or 0.
    pub status: u16,
    /// The start of the body, or why there was none.
    pub message: String,
    /// How long the answer took, in microseconds.
    pub time_us: u64,
}

/// Why the app host did not do something.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It is not running.
    #[error("the app host is not running")]
    Absent,
    /// It cannot be reached.
    #[error("the request to the app host failed")]
    Request(#[from] reqwest::Error),
    /// It does not serve such a component.
    #[error("{0}")]
    NotAnApp(String),
    /// It has not seen the release healthy.
    #[error("the release was not seen to be healthy")]
    NotHealthy,
    /// It has no such release.
    #[error("{0}")]
    Unknown(String),
    /// It answered what was not expected.
    #[error("the app host answered {status}: {text}")]
    Odd {
        /// The HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
}

/// Serves releases of apps.
#[async_trait]
pub trait AppHost: Send + Sync {
    /// Compiles a component as a release without traffic. Doing it again changes nothing.
    async fn load(&self, release: &str, app: &str, version: &str, bytes: Bytes) -> Result<(), HostError>;
    /// Asks a release how it is, until it is healthy or the time is over.
    async fn health(&self, release: &str, path: &str, within: Duration) -> Result<Health, HostError>;
    /// Gives an app's traffic to a release, and drops those that are neither it nor kept.
    async fn switch(&self, app: &str, release: &str, keep: &[String], trusted: bool) -> Result<(), HostError>;
    /// Takes an app out of the traffic, and drops its releases that are not kept.
    async fn stop(&self, app: &str, keep: &[String]) -> Result<(), HostError>;
}

/// The app host in its own process, spoken to over loopback.
#[derive(Default)]
pub struct HttpAppHost {
    client: Client,
    at: RwLock<Option<(SocketAddr, String)>>,
}

impl HttpAppHost {
    /// The process is now here and takes this token; or it is gone.
    pub fn set(&self, at: Option<(SocketAddr, String)>) {
        *self.at.write().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn request(&self, method: reqwest::Method, path: &str) -> Result<RequestBuilder, HostError> {
        let at = self.at.read().unwrap_or_else(PoisonError::into_inner);
        let (address, token) = at.as_ref().ok_or(HostError::Absent)?;
        Ok(self.client.request(method, format!("http://{address}{path}")).bearer_auth(token).timeout(SLACK))
    }
}

async fn check(response: Response) -> Result<Response, HostError> {
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(response);
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = response.text().await.unwrap_or_default();
    let message = serde_json::from_str::<Message>(&text).map_or(text, |message| message.message);
    Err(match status {
        404 => HostError::Unknown(message),
        422 => HostError::NotAnApp(message),
        status => HostError::Odd { status, text: message.chars().take(500).collect() },
    })
}

#[async_trait]
impl AppHost for HttpAppHost {
    async fn load(&self, release: &str, app: &str, version: &str, bytes: Bytes) -> Result<(), HostError> {
        let request = self.request(reqwest::Method::PUT, &format!("/releases/{release}"))?;
        let request = request.query(&[("app", app), ("version", version)]).body(bytes).timeout(SLACK * 4);
        check(request.send().await?).await.map(drop)
    }

    async fn health(&self, release: &str, path: &str, within: Duration) -> Result<Health, HostError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let request = self.request(reqwest::Method::POST, &format!("/releases/{release}/health"))?;
        let request = request.json(&serde_json::json!({ "path": path, "within_ms": within_ms }));
        Ok(check(request.timeout(within + SLACK).send().await?).await?.json().await?)
    }

    async fn switch(&self, app: &str, release: &str, keep: &[String], trusted: bool) -> Result<(), HostError> {
        let request = self.request(reqwest::Method::POST, &format!("/apps/{app}/switch"))?;
        let request = request.json(&serde_json::json!({ "release": release, "keep": keep, "trusted": trusted }));
        check(request.send().await?).await.map(drop).map_err(|error| match error {
            HostError::Odd { status: 409, .. } => HostError::NotHealthy,
            error @ (HostError::Absent
            | HostError::Request(_)
            | HostError::NotAnApp(_)
            | HostError::NotHealthy
            | HostError::Unknown(_)
            | HostError::Odd { .. }) => error,
        })
    }

    async fn stop(&self, app: &str, keep: &[String]) -> Result<(), HostError> {
        let request = self.request(reqwest::Method::POST, &format!("/apps/{app}/stop"))?;
        check(request.json(&serde_json::json!({ "keep": keep })).send().await?).await.map(drop)
    }
}
