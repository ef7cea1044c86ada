//! Standard output and error of a guest, as lines of the host's log.
//!
//! A stream of our own, because it never waits and never grows: whatever is not a whole line
//! yet is at most one line, and one request writes at most [`REQUEST_BYTES_MAX`].

use bytes::Bytes;
use slipway_domain::AppName;
use slipway_domain::name::ReleaseId;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tracing::{info, warn};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The longest line, in bytes. A longer one is written in parts.
const LINE_BYTES_MAX: usize = 8 << 10;
/// What one request may write to one stream, in bytes.
const REQUEST_BYTES_MAX: usize = 256 << 10;

/// One of the two output streams of a request.
#[derive(Clone)]
pub(crate) struct LogStream {
    app: AppName,
    release: ReleaseId,
    stream: &'static str,
    lines: Arc<Mutex<Lines>>,
}

impl LogStream {
    /// A stream whose lines are logged as this app's.
    pub(crate) fn new(app: AppName, release: ReleaseId, stream: &'static str) -> Self {
        Self { app, release, stream, lines: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let (lines, full) = {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            (lines.push(bytes), lines.is_full_now())
        };
        self.log(lines);
        if full {
            warn!(app = %self.app, release = %self.release, stream = self.stream,
                "app `{}` wrote more than {REQUEST_BYTES_MAX} bytes in one request, the rest is left out", self.app);
        }
    }

    fn log(&self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            info!(app = %self.app, release = %self.release, stream = self.stream, "{line}");
        }
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        // The last of the clones that share these lines writes what has no end.
        if Arc::strong_count(&self.lines) == 1 {
            let line = self.lines.lock().unwrap_or_else(PoisonError::into_inner).finish();
            self.log(line);
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Makes lines of bytes that come in pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    bytes: usize,
    told: bool,
}

impl Lines {
    /// Takes a piece and returns the lines that it completes.
    fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let left = REQUEST_BYTES_MAX.saturating_sub(self.bytes);
        self.bytes = self.bytes.saturating_add(piece.len());
        let mut lines = Vec::new();
        for part in piece.get(..left).unwrap_or(piece).split_inclusive(|byte| *byte == b'\n') {
            for chunk in part.chunks(LINE_BYTES_MAX) {
                if self.begun.len() + chunk.len() > LINE_BYTES_MAX {
                    lines.extend(self.finish());
                }
                self.begun.extend_from_slice(chunk);
            }
            if self.begun.last() == Some(&b'\n') {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// Whether the limit was passed, and nobody was told yet.
    fn is_full_now(&mut self) -> bool {
        self.bytes > REQUEST_BYTES_MAX && !std::mem::replace(&mut self.told, true)
    }

    /// The line that was begun and has no end.
    fn finish(&mut self) -> Option<String> {
        let begun = std::mem::take(&mut self.begun);
        let text = begun.strip_suffix(b"\n").unwrap_or(&begun);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if begun.is_empty() {
            return None;
        }
        // What would move a terminal's cursor, or forge a line of the log, is shown instead.
        let shown = |character: char| if character.is_control() && character != '\t' { '\u{fffd}' } else { character };
        Some(String::from_utf8_lossy(text).chars().map(shown).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\r\n\nthree"), ["two", ""]);
        assert_eq!(lines.finish().as_deref(), Some("three"));
        assert_eq!(lines.finish(), None);
    }

    #[test]
    fn a_long_line_comes_in_parts() {
        let mut lines = Lines::default();
        let parts = lines.push(&[b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(parts.iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES_MAX]);
        assert_eq!(lines.push(b"y\n"), ["xy"]);
    }

    #[test]
    fn a_flood_is_cut_and_told_once() {
        let mut lines = Lines::default();
        let kept: usize = (0..64).flat_map(|_| lines.push(&[b'x'; LINE_BYTES_MAX])).map(|line| line.len()).sum();
        assert!(lines.is_full_now());
        assert!(!lines.is_full_now());
        let rest = lines.finish().map_or(0, |line| line.len());
        assert_eq!(kept + rest, REQUEST_BYTES_MAX);
    }

    #[test]
    fn control_characters_are_shown() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"\x1b[2Jgone\tfar\n"), ["\u{fffd}[2Jgone\tfar"]);
    }
}
