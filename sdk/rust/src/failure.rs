//! Why a stage did not succeed.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;

/// Why something did not work: what a stage returns, and what the host answers when it
/// refuses or cannot do a call.
///
/// `?` turns every other error into one, with a code that follows from the error's type:
/// `io`, `invalid-json`, `invalid-utf8`, `invalid-number`, and `error` for the rest.
/// Where a program acts on the code, or where the error alone does not say which thing
/// it is about, use [`Failure::new`] or [`OrFail::or_fail`].
///
/// It does not implement [`std::error::Error`]: the conversion from every error would
/// then be one from itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word for programs: lower case, words joined by `-`.
    pub code: String,
    /// One sentence for people: what happened, to which thing.
    pub message: String,
    /// Whether the same call may succeed later without any change.
    pub retryable: bool,
    /// More facts, as names and values.
    pub details: Vec<(String, String)>,
}

impl Failure {
    /// Makes a failure that a retry would not heal.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, details: Vec::new() }
    }

    /// Says that the same call may succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn detail(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.details.push((name.into(), value.to_string()));
        self
    }

    /// Returns the value of the first detail called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        // The bindings' own record is an error too, so its conversion has to be here.
        #[cfg(target_arch = "wasm32")]
        if let Some(told) = (&error as &dyn Any).downcast_ref::<crate::raw::Failure>() {
            let told = told.clone();
            return Self { code: told.code, message: told.message, retryable: told.retryable, details: told.details };
        }
        if let Some(carried) = (&error as &dyn Any)
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref())
            .and_then(|inner| inner.downcast_ref::<Carried>())
        {
            return carried.0.clone();
        }
        let failure = Self::new(code_of(&error), with_causes(&error));
        if is_passing(&error) { failure.retryable() } else { failure }
    }
}

/// Lets a failure travel through an interface that speaks [`io::Error`], such as
/// [`io::Write`]. `?` takes the same failure out again.
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::other(Carried(failure))
    }
}

/// Gives an error or a missing value a code and a sentence of its own.
pub trait OrFail<T> {
    /// Replaces the error with a [`Failure`]; what was wrong becomes its detail `cause`.
    ///
    /// # Errors
    /// Fails with `code` where the value is an error or missing.
    fn or_fail(self, code: &str, message: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, code: &str, message: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(code, message).detail("cause", error))
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, code: &str, message: impl Into<String>) -> Result<T, Failure> {
        self.ok_or_else(|| Failure::new(code, message))
    }
}

/// A failure on its way through [`io::Error`].
#[derive(Debug)]
struct Carried(Failure);

impl fmt::Display for Carried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Error for Carried {}

/// Returns the code for an error's type.
fn code_of(error: &dyn Any) -> &'static str {
    if error.is::<io::Error>() {
        "io"
    } else if error.is::<serde_json::Error>() {
        "invalid-json"
    } else if error.is::<std::str::Utf8Error>() || error.is::<std::string::FromUtf8Error>() {
        "invalid-utf8"
    } else if error.is::<std::num::ParseIntError>() || error.is::<std::num::ParseFloatError>() {
        "invalid-number"
    } else {
        "error"
    }
}

/// Says whether an error is one of input and output that passes by itself.
fn is_passing(error: &dyn Any) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
    })
}

/// Returns the messages of an error and of what caused it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Many errors repeat their cause's message in their own.
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through<T, E: Error + 'static>(result: Result<T, E>) -> Failure {
        fn asked<T, E: Error + 'static>(result: Result<T, E>) -> Result<T, Failure> {
            Ok(result?)
        }
        asked(result).err().expect("the result is an error")
    }

    #[test]
    fn a_question_mark_gives_each_kind_of_error_its_code() {
        assert_eq!(through(std::fs::read("/no/such/file")).code, "io");
        assert_eq!(through(serde_json::from_str::<u8>("x")).code, "invalid-json");
        assert_eq!(through(String::from_utf8(vec![0xff])).code, "invalid-utf8");
        assert_eq!(through("x".parse::<u8>()).code, "invalid-number");
        assert_eq!(through("x".parse::<bool>()).code, "error");
    }

    #[test]
    fn only_errors_that_pass_are_retryable() {
        assert!(through::<(), _>(Err(io::Error::from(io::ErrorKind::TimedOut))).retryable);
        assert!(!through::<(), _>(Err(io::Error::from(io::ErrorKind::NotFound))).retryable);
    }

    #[test]
    fn a_failure_survives_the_way_through_an_io_error() {
        let failure = Failure::new("too-large", "`a` is too large").retryable().detail("limit", 7);
        assert_eq!(through::<(), _>(Err(io::Error::from(failure.clone()))), failure);
    }

    #[test]
    fn the_cause_is_told_once() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("cannot read `a`")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = through::<(), _>(Err(Outer(io::Error::other("disk on fire"))));
        assert_eq!(failure.message, "cannot read `a`: disk on fire");
    }

    #[test]
    fn or_fail_names_the_thing_and_keeps_the_cause() {
        let failure = "x".parse::<u8>().or_fail("bad-port", "`x` is no port").expect_err("it is none");
        assert_eq!(failure.to_string(), "`x` is no port (bad-port)");
        assert_eq!(failure.get("cause"), Some("invalid digit found in string"));
        assert_eq!(None::<u8>.or_fail("none", "nothing").expect_err("none").code, "none");
        assert_eq!(Some(1).or_fail("none", "nothing"), Ok(1));
    }
}
