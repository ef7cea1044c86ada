//! Why a request got no answer. Wasmtime's error type ends here.

use http::StatusCode;
use slipway_engine::{Limits, Stop};
use std::time::Duration;
use wasmtime::Error;

/// Why a request got no answer. The messages are for the app's author, never for its users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The guest trapped.
    #[error("it trapped{}: {message}", .function.as_ref().map_or_else(String::new, |name| format!(" in `{name}`")))]
    Trap {
        /// What the engine says.
        message: String,
        /// The innermost function, where it is known.
        function: Option<String>,
    },
    /// The guest wanted more than it may have.
    #[error("it reached its limit of {0}")]
    Limit(String),
    /// All requests together want more memory than they may have.
    #[error("the requests that run take all memory that apps may have together")]
    Crowded,
    /// The guest left.
    #[error("it called exit({0}) instead of answering")]
    Exit(i32),
    /// Time was over.
    #[error("it did not end within {} ms", .0.as_millis())]
    Deadline(Duration),
    /// The guest returned without an answer.
    #[error("it returned without an answer")]
    NoAnswer,
    /// The guest answered with an error instead of a response.
    #[error("it gave the error `{0}` instead of an answer")]
    Refused(String),
    /// The guest answered with a status that is not for it to give.
    #[error("it answered with status {0}, which an app cannot give")]
    Status(u16),
    /// The body of the request is larger than allowed. Not the guest's fault.
    #[error("the request's body has more than {0} bytes")]
    BodyTooLarge(u64),
    /// The host's own fault.
    #[error("the host could not run it: {0}")]
    Host(String),
}

impl Fault {
    /// The status that the user gets.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Trap { .. }
            | Self::Limit(_)
            | Self::Exit(_)
            | Self::NoAnswer
            | Self::Refused(_)
            | Self::Status(_) => StatusCode::BAD_GATEWAY,
            Self::Host(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    /// Tells a limit from a trap from an exit.
    pub(crate) fn of(error: &Error, limits: &Limits) -> Self {
        match Stop::of(error, limits) {
            Stop::Limit(limit) => Self::Limit(limit),
            Stop::Crowded => Self::Crowded,
            Stop::Exit { status, .. } => Self::Exit(status),
            Stop::Trap { message, backtrace } => Self::Trap { message, function: backtrace.into_iter().next() },
        }
    }
}
