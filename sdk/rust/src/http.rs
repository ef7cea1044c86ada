//! Requests over HTTP, sent by the host.
//!
//! The pipeline grants them by method, host, port and the beginning of the path. A secret stands in a
//! header without being seen:
//!
//! ```no_run
//! use slipway_sdk::{http, secrets};
//! # fn notify() -> Result<(), slipway_sdk::Failure> {
//! let token = secrets::open("hook-token")?;
//! http::post("https://hooks.example.com/deploys")
//!     .header("content-type", "application/json")
//!     .bearer(&token)
//!     .body(r#"{"state":"done"}"#)
//!     .send()?
//!     .check()?;
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;
use crate::host::{self, RequestDraft};
use crate::secrets::Secret;

/// How long a request may take when nothing else is said.
const WITHIN: Duration = Duration::from_secs(30);

/// Begins a GET.
pub fn get(url: impl AsRef<str>) -> Request {
    request("GET", url)
}

/// Begins a POST.
pub fn post(url: impl AsRef<str>) -> Request {
    request("POST", url)
}

/// Begins a PUT.
pub fn put(url: impl AsRef<str>) -> Request {
    request("PUT", url)
}

/// Begins a DELETE.
pub fn delete(url: impl AsRef<str>) -> Request {
    request("DELETE", url)
}

/// Begins a request of any method, which is in capitals.
pub fn request(method: impl AsRef<str>, url: impl AsRef<str>) -> Request {
    let draft = host::with(|host| host.http_request(method.as_ref(), url.as_ref()));
    Request { draft, within: WITHIN }
}

/// A request that is being put together.
pub struct Request {
    draft: Box<dyn RequestDraft>,
    within: Duration,
}

impl Request {
    /// Adds a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.draft.header(name, value);
        self
    }

    /// Adds a header whose value is `prefix` and then a secret.
    #[must_use]
    pub fn secret_header(self, name: &str, prefix: &str, secret: &Secret) -> Self {
        self.draft.secret_header(name, prefix, secret.handle.as_ref());
        self
    }

    /// Adds `authorization: Bearer` with a secret.
    #[must_use]
    pub fn bearer(self, secret: &Secret) -> Self {
        self.secret_header("authorization", "Bearer ", secret)
    }

    /// Adds an `authorization` header by the scheme Basic, with a secret as the password.
    #[must_use]
    pub fn basic_auth(self, user: &str, secret: &Secret) -> Self {
        self.draft.basic_auth(user, secret.handle.as_ref());
        self
    }

    /// Sets the body: at most 4 MiB.
    #[must_use]
    pub fn body(self, bytes: impl AsRef<[u8]>) -> Self {
        self.draft.body(bytes.as_ref());
        self
    }

    /// Sets an artifact as the body, by its digest.
    #[must_use]
    pub fn body_artifact(self, digest: &str) -> Self {
        self.draft.body_artifact(digest);
        self
    }

    /// Sets how long it may take, with all redirects: 30 seconds when it is not set.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Sends it. Any status is an answer: see [`Response::check`].
    ///
    /// # Errors
    /// Fails with `not-granted`, `not-in-this-phase`, `invalid-request`, `unknown-artifact`,
    /// `too-large`, `address-refused`, `unreachable`, `timed-out` or `in-doubt`.
    pub fn send(&self) -> Result<Response, Failure> {
        self.draft.send(u32::try_from(self.within.as_millis()).unwrap_or(u32::MAX))
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Request").finish_non_exhaustive()
    }
}

/// What a server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// More facts. Known is `url`: where it came from, after redirects.
    pub details: Vec<(String, String)>,
}

impl Response {
    /// Returns the first header of a name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Says whether the status is one of success: 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body as text; what is none is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// Fails with `not-json`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Failure::new("not-json", format!("the answer is not what was expected: {error}")))
    }

    /// Turns a status that is not one of success into a failure.
    ///
    /// # Errors
    /// Fails with `http-status`; the details hold the status.
    pub fn check(self) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let start: String = self.text().chars().take(200).collect();
        Err(Failure::new("http-status", format!("the server answered with status {}: {start}", self.status))
            .detail("status", self.status))
    }
}
