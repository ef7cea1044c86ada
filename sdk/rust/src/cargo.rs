//! Reads what cargo and rustc print, for the stages that run them.
//!
//! Run cargo with [`MESSAGE_FORMAT`]: then it tells on standard output, in JSON, what it
//! made, and on standard error, in words, what was wrong.
//!
//! ```
//! # use slipway_sdk::prelude::*;
//! # use slipway_sdk::{cargo, testing::{Fake, Script}};
//! # Fake::new().tool("rust", "cargo", |_| Script::new()).run(|| {
//! let mut build = cargo::Build::new();
//! let mut process = tools::command("rust", "cargo").args(["build", cargo::MESSAGE_FORMAT]).start()?;
//! for line in process.lines() {
//!     build.read(&line);
//! }
//! build.check(process.wait()?, "cargo build")?;
//! for product in build.products() {
//!     info!("cargo made `{}`", product.path);
//! }
//! # Ok::<(), Failure>(())
//! # }).unwrap();
//! ```

use serde::Deserialize;

use crate::Failure;
use crate::tools::{Exit, Line, Stream};

/// The argument that makes cargo print what this module reads.
pub const MESSAGE_FORMAT: &str = "--message-format=json-render-diagnostics";

/// Most errors that are kept word by word; the rest is only counted.
const ERRORS_MAX: usize = 20;

/// Refuses a value for one of cargo's options that is no plain word: letters and digits
/// first, then those and `-`, `_`, `.`, `+`, `/` and `@`. An option is none, nor is a list.
///
/// # Errors
/// Fails with `invalid-config`, naming the setting.
pub fn check_word(setting: &str, value: &str) -> Result<(), Failure> {
    let begins = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if begins && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/@".contains(c)) {
        return Ok(());
    }
    let message = format!("`{setting}` cannot be `{}`: cargo would not take it for a name", value.escape_debug());
    Err(Failure::new("invalid-config", message).detail("path", format!("with.{setting}")))
}

/// Refuses a directory that is absolute, leads out of the revision, or poses as an option.
///
/// # Errors
/// Fails with `invalid-config`, naming the setting.
pub fn check_directory(setting: &str, value: &str) -> Result<(), Failure> {
    let is_inside = !value.starts_with(['/', '-']) && value.split('/').all(|part| part != "..");
    if is_inside && !value.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("`{setting}` cannot be `{}`: give a directory of the revision", value.escape_debug());
    Err(Failure::new("invalid-config", message).detail("path", format!("with.{setting}")))
}

/// What cargo has told so far.
#[derive(Debug, Clone, Default)]
pub struct Build {
    products: Vec<Product>,
    errors: Vec<CompileError>,
    error_count: usize,
    has_doc_tests: bool,
    place_follows: bool,
}

/// A file that cargo made of one of the workspace's own packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The name of the target: of the library, program or test.
    pub target: String,
    /// The path as cargo tells it.
    pub path: String,
    /// Whether it is a test program.
    pub test: bool,
}

/// An error of the compiler, or of cargo itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// The message.
    pub message: String,
    /// File and line, as in `src/lib.rs:12`, where it has a place.
    pub place: Option<String>,
}

impl Build {
    /// Begins to read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one line. Returns whether another crate has been compiled.
    pub fn read(&mut self, line: &Line) -> bool {
        match line.stream {
            Stream::Stdout => self.read_message(&line.text),
            Stream::Stderr => {
                self.read_diagnostic(&line.text);
                false
            }
        }
    }

    /// Returns the programs and dynamic libraries that were made.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Returns the first errors.
    #[must_use]
    pub fn errors(&self) -> &[CompileError] {
        &self.errors
    }

    /// Says whether one of the workspace's own libraries may have tests in its
    /// documentation.
    #[must_use]
    pub fn has_doc_tests(&self) -> bool {
        self.has_doc_tests
    }

    /// Turns an unsuccessful end into a failure that tells the first error.
    ///
    /// # Errors
    /// Fails with `build-failed`; the details hold the errors.
    pub fn check(&self, exit: Exit, what: &str) -> Result<(), Failure> {
        let Err(failure) = exit.check(what) else { return Ok(()) };
        let Some(first) = self.errors.first() else {
            return Err(Failure { code: "build-failed".into(), ..failure });
        };
        let message = match self.error_count {
            1 => format!("`{what}` failed: {}", first.in_words()),
            count => format!("`{what}` failed with {count} errors, the first: {}", first.in_words()),
        };
        let failure = Failure::new("build-failed", message).detail("errors", self.error_count);
        Err(self.errors.iter().fold(failure, |failure, error| failure.detail("error", error.in_words())))
    }

    fn read_message(&mut self, text: &str) -> bool {
        // Whatever else writes to standard output is none of cargo's messages.
        let Ok(message) = serde_json::from_str::<Message>(text) else { return false };
        if message.reason != "compiler-artifact" {
            return false;
        }
        if let Some(target) = message.target.filter(|_| is_own(&message.package_id)) {
            let test = message.profile.is_some_and(|profile| profile.test);
            let is_library = target.kind.iter().any(|kind| kind.ends_with("lib") || kind == "proc-macro");
            self.has_doc_tests |= target.doctest && is_library;
            let paths: Vec<String> = match message.executable {
                Some(path) => vec![path],
                None if target.kind.iter().any(|kind| kind == "cdylib") => {
                    message.filenames.into_iter().filter(|path| is_dynamic(path)).collect()
                }
                None => Vec::new(),
            };
            let target = target.name;
            self.products.extend(paths.into_iter().map(|path| Product { target: target.clone(), path, test }));
        }
        true
    }

    /// Reads `error[E0308]: mismatched types` and the ` --> src/lib.rs:3:5` after it.
    fn read_diagnostic(&mut self, text: &str) {
        if let Some(message) = error_message(text) {
            self.error_count += 1;
            self.place_follows = self.errors.len() < ERRORS_MAX;
            if self.place_follows {
                self.errors.push(CompileError { message: message.into(), place: None });
            }
        } else if let Some(place) = text.trim_start().strip_prefix("--> ") {
            if let Some(error) = self.errors.last_mut().filter(|_| self.place_follows) {
                // The column says little where the source is not at hand.
                error.place = place.rsplit_once(':').map(|(place, _column)| place.into());
            }
            self.place_follows = false;
        } else if text.starts_with("warning") {
            self.place_follows = false;
        }
    }
}

impl CompileError {
    /// Returns the error in one line.
    fn in_words(&self) -> String {
        match &self.place {
            Some(place) => format!("{} at `{place}`", self.message),
            None => self.message.clone(),
        }
    }
}

/// Returns the message of a line that begins an error, unless it only sums up others.
fn error_message(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("error")?;
    let rest = match rest.strip_prefix('[') {
        Some(code) => code.split_once(']')?.1,
        None => rest,
    };
    let message = rest.strip_prefix(": ")?;
    let sums_up = ["could not compile ", "aborting due to ", "build failed"];
    (!sums_up.iter().any(|start| message.starts_with(start))).then_some(message)
}

/// Says whether a package is a part of the checked-out revision: those have a path as
/// their source, everything else a registry or a repository.
fn is_own(package_id: &str) -> bool {
    package_id.starts_with("path+file://") || package_id.contains("(path+file://")
}

/// Says whether a file of a `cdylib` is the one that people want.
fn is_dynamic(path: &str) -> bool {
    [".wasm", ".so", ".dylib", ".dll"].iter().any(|end| path.ends_with(end))
}

/// One line of cargo's standard output; what is not told in it stays empty.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<String>,
    #[serde(default)]
    filenames: Vec<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    #[serde(default)]
    doctest: bool,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

#[cfg(test)]
mod tests;
