//! Errors as people and programs get them: problems by RFC 9457.

use super::extract::BODY_BYTES_MAX;
use crate::apps::ActError;
use crate::definition::Diagnostic;
use crate::git;
use crate::scheduler::Refused;
use crate::store::CommitError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use slipway_domain::run::InvalidTransition;
use utoipa::ToSchema;

/// The media type of a problem (RFC 9457 §3).
const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong with a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`; `code` tells problems apart.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The meaning of the HTTP status.
    title: String,
    /// The HTTP status.
    status: u16,
    /// A stable word for programs.
    code: String,
    /// What happened, to which thing.
    detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The field of the body, or the key of the query, that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// What is wrong with the pipeline file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<DiagnosticView>,
    /// The pipeline file that they are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The id under which the server's log tells more.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// One mistake in a pipeline file.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct DiagnosticView {
    /// A stable word for programs.
    code: String,
    /// What is wrong.
    message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The line, from 1.
    line: u32,
    /// The column, in characters from 1.
    column: u32,
    /// The bytes of the file that it is about: from, to.
    span: (usize, usize),
}

impl From<Diagnostic> for DiagnosticView {
    fn from(diagnostic: Diagnostic) -> Self {
        let Diagnostic { code, message, hint, line, column, span, place: _ } = diagnostic;
        Self { code, message, hint, line, column, span: (span.start, span.end) }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            field: None,
            diagnostics: Vec::new(),
            file: None,
            request_id: None,
        }
    }

    pub(super) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(super) fn body_too_large() -> Self {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail)
    }

    pub(super) fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn missing(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what} `{}`", name.escape_debug()))
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the field or key that is wrong.
    pub(super) fn field(mut self, name: &str) -> Self {
        self.field = Some(name.chars().take(100).collect());
        self
    }

    /// More clients than the server takes at once.
    pub(super) fn crowded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", "too many clients are connected")
            .hint("try again in a moment")
    }

    /// No room for what the request is about.
    fn disk_full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full", "the server's disk is full: nothing was stored")
            .hint("make room on the disk of the data folder, then send it again")
    }

    /// An error that is ours: the caller is told little, the log all, under the same id.
    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let id = crate::scheduler::new_id().to_string();
        tracing::error!(request_id = id, error, "a request failed");
        let mut problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server could not do its part")
            .hint("the server's log tells more under this `request_id`");
        problem.request_id = Some(id);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(&error)
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::DiskFull => Self::disk_full(),
            CommitError::Refused(_) | CommitError::Closed => Self::internal(&error),
        }
    }
}

impl From<git::Error> for Problem {
    fn from(error: git::Error) -> Self {
        use git::Error;
        let is_short_id = |name: &str| (4..40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_hexdigit());
        let (status, code, hint) = match &error {
            Error::NotARepository { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-a-repository",
                Some("give the address of a repository that this server's user can read with git"),
            ),
            Error::InvalidReference(_) => {
                (StatusCode::BAD_REQUEST, "invalid-reference", Some("give a branch, a tag, or a full commit id"))
            }
            Error::UnknownReference { reference, .. } => {
                let hint = if is_short_id(reference) {
                    "a commit is named by all 40 digits of its id, as `git rev-parse` shows it"
                } else {
                    "was it pushed? `git ls-remote` shows what the repository has"
                };
                (StatusCode::UNPROCESSABLE_ENTITY, "unknown-reference", Some(hint))
            }
            Error::Unusable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unusable-revision", None),
            Error::Timeout { .. } => (
                StatusCode::GATEWAY_TIMEOUT,
                "repository-slow",
                Some("the repository did not answer in time: try again"),
            ),
            Error::BrokenReference { .. } | Error::Damaged { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "damaged-repository",
                Some("`git fsck` in the repository tells more"),
            ),
            Error::DiskFull => return Self::disk_full(),
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => return Self::disk_full(),
            Error::NoGit | Error::Git { .. } | Error::Io { .. } => return Self::internal(&error),
        };
        let problem = Self::new(status, code, error.to_string());
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::UnknownPipeline(name) => {
                Self::missing("pipeline", name.as_str()).hint("add it with `PUT /v1/pipelines/{name}`")
            }
            Refused::Location(_) => Self::bad_request("invalid-repository", text),
            Refused::Git(error) => error.into(),
            Refused::NoDefinition { .. } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no-definition", text)
                .hint("commit a `slipway.toml`; docs/quick-start.md shows one of ten lines"),
            Refused::Invalid { diagnostics, text: file, .. } => {
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-definition", text);
                problem.diagnostics = diagnostics.into_iter().map(Into::into).collect();
                problem.file = Some(file);
                problem
            }
            Refused::KeyUsed => {
                Self::new(StatusCode::CONFLICT, "idempotency-key-used", text).hint("use a new key for a new request")
            }
            Refused::Full => Self::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-runs", text),
            Refused::Store(error) => error.into(),
            Refused::Read(error) => error.into(),
            Refused::Secrets(error) => error.into(),
            Refused::Plugins(crate::plugins::Error::NoWorker(_) | crate::plugins::Error::NotNow { .. }) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-worker", text)
            }
            Refused::Plugins(error) => Self::internal(&error),
        }
    }
}

impl From<InvalidTransition> for Problem {
    fn from(error: InvalidTransition) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", error.to_string())
    }
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Release(error) => Self::new(StatusCode::CONFLICT, "no-release", error.to_string())
                .hint("an app goes back one release; to run an older version, trigger its tag again"),
            ActError::NotAnApp(_)
            | ActError::NotHealthy
            | ActError::Fenced
            | ActError::Host { .. }
            | ActError::Blobs(_)
            | ActError::Store(_)
            | ActError::Read(_) => Self::internal(&error),
        }
    }
}

/// Tells the type of problems, which the attributes of the handlers leave out.
pub(super) fn as_problems(operation: &mut utoipa::openapi::path::Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let (true, utoipa::openapi::RefOr::T(response)) = (status.ends_with("XX"), response)
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert(CONTENT_TYPE.to_owned(), content);
        }
    }
}

pub(super) async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this address")
        .hint("`/openapi.json` lists what there is")
}

pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address does not take that method")
        .hint("`/openapi.json` lists what there is")
}
