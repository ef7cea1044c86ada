//! Why a request got no answer. Wasmtime's error type ends here.

use crate::guest::engine::STACK_BYTES_MAX;
use crate::guest::limits::{HOSTCALL_BYTES_MAX, Refused, StoreLimits};
use http::StatusCode;
use std::time::Duration;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

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
    pub(crate) fn of(error: &Error, limits: &StoreLimits) -> Self {
        let trap = error.downcast_ref::<Trap>();
        if trap.is_none_or(|trap| *trap == Trap::UnreachableCodeReached) {
            match limits.refused() {
                Some(Refused::Own(limit)) => return Self::Limit(limit.clone()),
                Some(Refused::Budget) => return Self::Crowded,
                None => {}
            }
        }
        match trap {
            Some(Trap::StackOverflow) => Self::Limit(format!("{} KiB of stack", STACK_BYTES_MAX >> 10)),
            Some(trap) => Self::Trap { message: trap.to_string(), function: innermost(error) },
            None => {
                let message = format!("{error:#}");
                if message.contains("too many bytes") || message.contains("hostcall fuel") {
                    return Self::Limit(format!("{} MiB copied in one call", HOSTCALL_BYTES_MAX >> 20));
                }
                match error.downcast_ref::<I32Exit>() {
                    Some(exit) => Self::Exit(exit.0),
                    None => Self::Trap { message: error.root_cause().to_string(), function: innermost(error) },
                }
            }
        }
    }
}

/// The innermost function of the guest, as its author wrote its name.
fn innermost(error: &Error) -> Option<String> {
    let trace = error.downcast_ref::<WasmBacktrace>()?;
    let frame = trace.frames().first()?;
    Some(match frame.func_name() {
        Some(name) => rustc_demangle::try_demangle(name).map_or_else(|_| name.to_owned(), |name| format!("{name:#}")),
        None => format!("function {} at {:#x}", frame.func_index(), frame.module_offset().unwrap_or(0)),
    })
}
