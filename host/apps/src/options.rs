//! What the app host is told at its start.

use slipway_domain::AppName;
use slipway_engine::Compiler;
use std::net::SocketAddr;
use std::time::Duration;

/// What the app host needs to know.
#[derive(Clone)]
pub struct Options {
    /// Where the users of the apps come in.
    pub listen: SocketAddr,
    /// Where control comes in: an address of the loopback; port 0 takes any free port.
    pub admin: SocketAddr,
    /// What control proves itself with.
    pub token: String,
    /// What compiles components.
    pub compiler: Compiler,
    /// The apps that control is about to bring: until then they are away, and not unknown.
    pub expected: Vec<AppName>,
    /// What requests may take.
    pub limits: Limits,
}

/// What the requests to apps may take. Equal for all apps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one request, in bytes.
    pub memory_bytes: u64,
    /// Linear memory of all requests together, in bytes.
    pub memory_bytes_total: u64,
    /// How long one request may take, to the end of its answer, in milliseconds.
    pub request_ms: u64,
    /// The largest body of a request, in bytes.
    pub body_bytes: u64,
    /// How many requests to one app run at once.
    pub concurrent_requests: usize,
    /// How many connections are open at once. Further ones wait to be accepted.
    pub connections: usize,
}

impl Limits {
    /// How long one request may take.
    pub const fn request_limit(&self) -> Duration {
        Duration::from_millis(self.request_ms)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            memory_bytes_total: 2 << 30,
            request_ms: 30_000,
            body_bytes: 8 << 20,
            concurrent_requests: 256,
            connections: 1_024,
        }
    }
}

/// Where the app host listens, with the real ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Where the users of the apps come in.
    pub listen: SocketAddr,
    /// Where control comes in.
    pub admin: SocketAddr,
}
