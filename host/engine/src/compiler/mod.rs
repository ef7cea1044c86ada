//! Compilation in a process of its own, with little memory and little time: what compiles is somebody
//! else's, and a compiler has no limits by itself (threat T46).
//!
//! [`Compiler`] is the side of whoever wants to run components. Beside it stands a small process that is
//! started before anything is given up ([`serve`]): it keeps compiled code under a key that nobody else has,
//! and starts a process for each component that it does not have yet ([`compile_alone`]). Whoever takes
//! over a worker can neither write what is kept, nor forge it (threat T48).

mod alone;
mod client;
mod kept;
mod server;

pub use alone::{COMMAND as ALONE_COMMAND, main as compile_alone};
pub use client::Compiler;
pub use server::{COMMAND, main as serve};

use serde::{Deserialize, Serialize};

/// What became of a component, between the processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// Its code was handed over.
    Compiled,
    /// It is none, in the engine's words.
    Invalid(String),
    /// Compiling it took more than it may: what of.
    TooMuch(String),
    /// The host had trouble of its own.
    Trouble(String),
}
