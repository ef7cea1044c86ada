//! Why git did not do what was asked.

use super::location::Location;
use slipway_domain::text::is_deceptive;
use std::io;

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The git program is missing.
    #[error("the program `git` is not installed")]
    NoGit,
    /// The address leads to no repository.
    #[error("`{location}` is not a git repository that can be read: {message}")]
    NotARepository {
        /// The address.
        location: String,
        /// What git says.
        message: String,
    },
    /// A name that no ref can have.
    #[error("`{0}` is not the name of a branch or tag, nor a full object name")]
    InvalidReference(String),
    /// The repository has no such ref.
    #[error("`{location}` has no branch, tag or commit `{reference}`")]
    UnknownReference {
        /// The address.
        location: String,
        /// What was asked for.
        reference: String,
    },
    /// A revision holds what is not laid out.
    #[error("revision `{revision}` cannot be used: {reason}")]
    Unusable {
        /// The revision.
        revision: String,
        /// Why.
        reason: String,
    },
    /// The ref is there and names nothing.
    #[error("`{location}` is damaged: its ref `{reference}` names no object")]
    BrokenReference {
        /// The address.
        location: String,
        /// The ref.
        reference: String,
    },
    /// The repository sends what git does not accept.
    #[error("git does not accept what `{location}` sends: {message}")]
    Damaged {
        /// The address.
        location: String,
        /// What git says.
        message: String,
    },
    /// There is no room for it on the server.
    #[error("the disk of the mirrors is full")]
    DiskFull,
    /// It took too long.
    #[error("git did not end within {seconds} s")]
    Timeout {
        /// The time it had.
        seconds: u64,
    },
    /// Git said no.
    #[error("git: {message}")]
    Git {
        /// What it says.
        message: String,
    },
    /// The machine.
    #[error("{what}")]
    Io {
        /// What did not work.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What git complains of when the objects that it gets are not as they should be.
const DAMAGE: [&str; 5] =
    ["fsck error", "did not send all necessary objects", "bad object", "index-pack", "unpack-objects"];

impl Error {
    /// What git complained of, one line after another, when it did not do its part.
    pub(super) fn told(complaint: &str) -> Self {
        // What the other side says is passed on with its name before it.
        let own = || complaint.lines().filter(|line| !line.starts_with("remote: "));
        if own().any(|line| line.contains("No space left on device") || line.contains("Disk quota exceeded")) {
            return Self::DiskFull;
        }
        let line = complaint
            .lines()
            .map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: ").trim())
            .find(|line| !line.is_empty() && !line.starts_with("warning: "))
            .unwrap_or("git gave no reason");
        let line = line.chars().take(300).map(|c| if is_deceptive(c) { '\u{fffd}' } else { c }).collect();
        if own().any(|line| DAMAGE.iter().any(|damage| line.contains(damage))) {
            return Self::Damaged { location: String::new(), message: line };
        }
        Self::Git { message: line }
    }

    /// The error of a question to a repository: whatever git does not explain otherwise means
    /// that it is none.
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other error says what it is")]
    pub(super) fn of(self, at: &Location) -> Self {
        match self {
            Self::Git { message } => Self::NotARepository { location: at.to_string(), message },
            Self::Damaged { message, .. } => Self::Damaged { location: at.to_string(), message },
            other => other,
        }
    }
}
