//! What people read while the stage runs and afterwards.
//!
//! Entries are written with the macros [`debug!`](crate::debug), [`info!`](crate::info),
//! [`warn!`](crate::warn) and [`error!`](crate::error). Nothing that is printed has an
//! effect: there are no commands in a log.

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;
use crate::host::{self, RunningStep};

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Shown when somebody looks for it.
    Debug,
    /// The ordinary one.
    Info,
    /// Something is odd, and the stage goes on.
    Warn,
    /// Something is wrong.
    Error,
}

impl Level {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Writes one entry. The macros are the shorter way.
pub fn write(level: Level, message: &str, fields: &[(String, String)]) {
    #[cfg(target_arch = "wasm32")]
    host::with(|host| host.log_write(level, message, fields));
    // A helper that logs can be tested without a fake.
    #[cfg(not(target_arch = "wasm32"))]
    if host::try_with(|host| host.log_write(level, message, fields)).is_none() {
        eprintln!("{}: {message} {fields:?}", level.as_str());
    }
}

/// Begins a named part of the stage, shown with its own time.
#[must_use = "the step ends when it is dropped"]
pub fn step(name: &str) -> Step {
    Step { handle: host::with(|host| host.log_step(name)) }
}

/// A named part of the stage. It ends when it is dropped, as done unless
/// [`fail`](Step::fail) was called.
pub struct Step {
    handle: Box<dyn RunningStep>,
}

impl Step {
    /// Tells how far it is. `total` is `None` while it is not known.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.handle.progress(done, total);
    }

    /// Marks the step as not successful.
    pub fn fail(&self, message: &str) {
        self.handle.fail(message);
    }

    /// Runs `body` in a step, which ends with it and fails with it.
    ///
    /// # Errors
    /// Fails as `body` does.
    pub fn within<R>(name: &str, body: impl FnOnce(&Self) -> Result<R, Failure>) -> Result<R, Failure> {
        let step = step(name);
        let result = body(&step);
        if let Err(failure) = &result {
            step.fail(&failure.message);
        }
        result
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Step").finish_non_exhaustive()
    }
}
