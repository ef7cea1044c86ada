//! Standard output and error of a guest, as lines of the host's log. One request writes at
//! most [`REQUEST_BYTES_MAX`] to each.

use crate::guest::runtime::Identity;
use slipway_engine::{LineStream, Sink};
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// The longest line, in bytes. A longer one is written in parts.
const LINE_BYTES_MAX: usize = 8 << 10;
/// What one request may write to one stream, in bytes.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// One of the two output streams of a request.
pub(crate) type LogStream = LineStream<Lines, LINE_BYTES_MAX>;

/// Writes lines to the host's log.
pub(crate) struct Lines {
    identity: Identity,
    stream: &'static str,
    room: Mutex<Room>,
}

/// A stream whose lines are logged as this app's.
pub(crate) fn stream(identity: &Identity, stream: &'static str) -> LogStream {
    LineStream::new(Lines { identity: identity.clone(), stream, room: Mutex::default() })
}

impl Sink for Lines {
    fn line(&self, line: String) {
        let Identity { app, release } = &self.identity;
        let fits = self.room.lock().unwrap_or_else(PoisonError::into_inner).fits(&line);
        match fits {
            Fits::Yes => info!(%app, %release, stream = self.stream, "{}", shown(&line)),
            Fits::NoLonger => warn!(%app, %release, stream = self.stream,
                "app `{app}` wrote more than {REQUEST_BYTES_MAX} bytes in one request, the rest is left out"),
            Fits::No => {}
        }
    }
}

/// How much of a request's output was written.
#[derive(Default)]
struct Room {
    bytes: usize,
}

/// Whether a line still has room.
#[derive(Debug, PartialEq, Eq)]
enum Fits {
    /// It has.
    Yes,
    /// It is the first that has none.
    NoLonger,
    /// Neither has it, nor had one before.
    No,
}

impl Room {
    fn fits(&mut self, line: &str) -> Fits {
        let before = self.bytes;
        // The line's end counts too: empty lines are a flood as well.
        self.bytes = before.saturating_add(line.len() + 1);
        match self.bytes <= REQUEST_BYTES_MAX {
            true => Fits::Yes,
            false if before <= REQUEST_BYTES_MAX => Fits::NoLonger,
            false => Fits::No,
        }
    }
}

/// A line in which what would move a terminal's cursor, or forge a line of the log, is shown
/// instead.
fn shown(line: &str) -> String {
    let shown = |character: char| if character.is_control() && character != '\t' { '\u{fffd}' } else { character };
    line.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_told_once() {
        for size in [0, 1, 100, LINE_BYTES_MAX] {
            let line = "x".repeat(size);
            let mut room = Room::default();
            let fitting = REQUEST_BYTES_MAX / (size + 1);
            assert!((0..fitting).all(|_| room.fits(&line) == Fits::Yes), "{size}");
            assert_eq!(room.fits(&line), Fits::NoLonger);
            assert_eq!(room.fits(""), Fits::No);
        }
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(shown("\x1b[2Jgone\tfar\r"), "\u{fffd}[2Jgone\tfar\u{fffd}");
    }
}
