//! What the exit codes mean. `slipway --help` and docs/cli.md tell the same.

use std::process::ExitCode;

/// A run passed, or the command did what it was for.
pub(crate) const OK: u8 = 0;
/// The answer is no: a run failed, a check found mistakes, the server refused the request.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage: an option, a value, or a file that was named and cannot be read. Nothing
/// was done.
pub(crate) const USAGE: u8 = 2;
/// The platform could not do its part: a run errored, the server cannot be reached or broke,
/// a service cannot start.
pub(crate) const ERRORED: u8 = 3;
/// A run was cancelled.
pub(crate) const CANCELLED: u8 = 4;

/// What `--help` tells of them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; a run passed
  1  no: a run failed, a check found mistakes, the server refused the request
  2  wrong usage: an option, a value, or a file that cannot be read; nothing was done
  3  the platform could not do its part: a run errored, the server cannot be reached,
     a service cannot start
  4  a run was cancelled";

/// The code for a run's state.
pub(crate) fn of_state(state: &str) -> ExitCode {
    ExitCode::from(match state {
        "passed" => OK,
        "failed" => FAILED,
        "cancelled" => CANCELLED,
        _ => ERRORED,
    })
}

/// The code for a problem that a server has told, by its HTTP status.
pub(crate) fn of_status(status: u16) -> u8 {
    if (400..500).contains(&status) { FAILED } else { ERRORED }
}
