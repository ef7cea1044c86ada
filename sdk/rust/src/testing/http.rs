//! The fake's servers, and its programs with secrets.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::fake::{Phase, State, refusal};
use crate::Failure;
use crate::host::{Host, LaunchDraft, RequestDraft, RunningProcess, SecretHandle};
use crate::http::Response;
use crate::tools::Command;

/// What answers requests.
pub(super) type Server = Rc<dyn Fn(&SentRequest) -> Response>;

/// A request that the stage sent. A secret in a header stands there as `{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentRequest {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A secret that a program was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenSecret {
    /// The program.
    pub program: String,
    /// The secret's name.
    pub secret: String,
    /// `env NAME`, `file NAME` or `stdin`.
    pub place: String,
}

/// A request that is being put together.
pub(super) struct Draft {
    state: Weak<State>,
    request: RefCell<SentRequest>,
}

impl Draft {
    pub(super) fn new(state: Weak<State>, method: &str, url: &str) -> Self {
        let request = SentRequest { method: method.into(), url: url.into(), ..SentRequest::default() };
        Self { state, request: RefCell::new(request) }
    }
}

impl RequestDraft for Draft {
    fn header(&self, name: &str, value: &str) {
        self.request.borrow_mut().headers.push((name.to_ascii_lowercase(), value.into()));
    }

    fn secret_header(&self, name: &str, prefix: &str, secret: &dyn SecretHandle) {
        self.header(name, &format!("{prefix}{{{}}}", secret.name()));
    }

    fn basic_auth(&self, user: &str, secret: &dyn SecretHandle) {
        self.header("authorization", &format!("Basic {user}:{{{}}}", secret.name()));
    }

    fn body(&self, bytes: &[u8]) {
        self.request.borrow_mut().body = bytes.into();
    }

    fn body_artifact(&self, digest: &str) {
        let known = self.state.upgrade().and_then(|state| state.blobs.borrow().get(digest).cloned());
        self.request.borrow_mut().body = known.unwrap_or_default();
    }

    fn send(&self, _within_ms: u32) -> Result<Response, Failure> {
        let state = self.state.upgrade().ok_or_else(|| refusal("host", "the fake is gone"))?;
        let request = self.request.borrow().clone();
        state.check_request(&request)?;
        if !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            state.check_phase(Phase::Act, "http.send")?;
        }
        let server = state.servers.borrow().iter().find(|(start, _)| request.url.starts_with(start.as_str())).cloned();
        let (_, server) =
            server.ok_or_else(|| refusal("unreachable", &format!("nobody answers at `{}`", request.url)))?;
        state.requests.borrow_mut().push(request.clone());
        Ok(server(&request))
    }
}

/// A command that is being put together with secrets.
pub(super) struct Launch {
    pub(super) state: Weak<State>,
    pub(super) command: Command,
    pub(super) secrets: RefCell<Vec<GivenSecret>>,
}

impl Launch {
    fn give(&self, place: String, secret: &dyn SecretHandle) {
        let program = self.command.program.clone();
        self.secrets.borrow_mut().push(GivenSecret { program, secret: secret.name(), place });
    }
}

impl LaunchDraft for Launch {
    fn secret_env(&self, name: &str, secret: &dyn SecretHandle) {
        self.give(format!("env {name}"), secret);
    }

    fn secret_file(&self, name: &str, secret: &dyn SecretHandle) {
        self.give(format!("file {name}"), secret);
    }

    fn secret_stdin(&self, secret: &dyn SecretHandle) {
        self.give("stdin".into(), secret);
    }

    fn start(&self) -> Result<Box<dyn RunningProcess>, Failure> {
        let state = self.state.upgrade().ok_or_else(|| refusal("host", "the fake is gone"))?;
        let process = state.tools_start(&self.command)?;
        state.given.borrow_mut().extend(self.secrets.borrow().iter().cloned());
        Ok(process)
    }
}
