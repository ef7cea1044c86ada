//! Files that people name on the command line.

use crate::error::Told;
use slipway_control::files::{Error, read};
use std::path::Path;

/// The largest component.
pub(crate) const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// The largest file with a token.
const TOKEN_BYTES_MAX: usize = 4 << 10;

/// Reads a file that was named. `what` it is stands in the message.
pub(crate) fn named(path: &Path, bytes_max: usize, what: &str) -> anyhow::Result<Vec<u8>> {
    read(path, bytes_max).map_err(|error| {
        let message = format!("cannot read {what} `{}`", path.display());
        match error {
            // It is there and was looked at: the answer is no.
            Error::TooLarge { .. } => Told::refused("too-large", message).because(error),
            Error::NotRegular | Error::Io(_) => Told::usage("unreadable", message).because(error),
        }
    })
}

/// Reads a token.
pub(crate) fn token(path: &Path, hint: &str) -> anyhow::Result<String> {
    let unusable = || Told::usage("no-token", format!("cannot read the token in `{}`", path.display())).hint(hint);
    let bytes = read(path, TOKEN_BYTES_MAX).map_err(|error| unusable().because(error))?;
    let token = String::from_utf8(bytes).map_err(|error| unusable().because(error))?;
    let token = token.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        let message = format!("there is no token in `{}`", path.display());
        return Err(Told::usage("no-token", message).hint(hint).into());
    }
    Ok(token.to_owned())
}
