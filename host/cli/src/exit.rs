//! What the exit codes mean.

use std::process::ExitCode;

/// A run passed, or the command did what it was for.
pub(crate) const OK: u8 = 0;
/// A run failed, or a check found mistakes: for the caller to mend.
pub(crate) const FAILED: u8 = 1;
/// A run errored, or the platform could not do its part. (2 is clap's, for wrong usage.)
pub(crate) const ERRORED: u8 = 3;
/// A run was cancelled.
pub(crate) const CANCELLED: u8 = 4;

/// The code for a run's state.
pub(crate) fn of_state(state: &str) -> ExitCode {
    ExitCode::from(match state {
        "passed" => OK,
        "failed" => FAILED,
        "cancelled" => CANCELLED,
        _ => ERRORED,
    })
}
