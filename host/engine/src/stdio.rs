//! Standard output of a guest, as lines.
//!
//! A stream of our own, because it never waits and never grows: whatever is not a whole
//! line yet is at most one line.

use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How much a guest may write at once, in bytes.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Where the lines of a guest go.
pub trait Sink: Send + Sync + 'static {
    /// Takes a line, without its end.
    fn line(&self, line: String);
}

/// One of the two output streams of a guest. A line longer than `LINE_BYTES_MAX` comes in
/// parts. Its clones are the same stream; the last of them ends it.
pub struct LineStream<S: Sink, const LINE_BYTES_MAX: usize>(Arc<Open<S, LINE_BYTES_MAX>>);

struct Open<S: Sink, const LINE_BYTES_MAX: usize> {
    sink: S,
    lines: Mutex<Lines<LINE_BYTES_MAX>>,
}

impl<S: Sink, const LINE_BYTES_MAX: usize> LineStream<S, LINE_BYTES_MAX> {
    /// A stream whose lines go there.
    pub fn new(sink: S) -> Self {
        Self(Arc::new(Open { sink, lines: Mutex::default() }))
    }

    fn take(&self, bytes: &[u8]) {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        lines.into_iter().for_each(|line| self.0.sink.line(line));
    }
}

impl<S: Sink, const LINE_BYTES_MAX: usize> Clone for LineStream<S, LINE_BYTES_MAX> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Sink, const LINE_BYTES_MAX: usize> Drop for Open<S, LINE_BYTES_MAX> {
    fn drop(&mut self) {
        if let Some(line) = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner).finish() {
            self.sink.line(line);
        }
    }
}

impl<S: Sink, const LINE_BYTES_MAX: usize> IsTerminal for LineStream<S, LINE_BYTES_MAX> {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl<S: Sink, const LINE_BYTES_MAX: usize> StdoutStream for LineStream<S, LINE_BYTES_MAX> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl<S: Sink, const LINE_BYTES_MAX: usize> Pollable for LineStream<S, LINE_BYTES_MAX> {
    async fn ready(&mut self) {}
}

impl<S: Sink, const LINE_BYTES_MAX: usize> OutputStream for LineStream<S, LINE_BYTES_MAX> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl<S: Sink, const LINE_BYTES_MAX: usize> AsyncWrite for LineStream<S, LINE_BYTES_MAX> {
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
pub struct Lines<const LINE_BYTES_MAX: usize> {
    begun: Vec<u8>,
}

impl<const LINE_BYTES_MAX: usize> Lines<LINE_BYTES_MAX> {
    /// Takes a piece and returns the lines that it completes. A line longer than
    /// `LINE_BYTES_MAX` comes in parts. Bytes that are not UTF-8 are replaced.
    pub fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            for chunk in text.chunks(LINE_BYTES_MAX) {
                let (fits, rest) = chunk.split_at(chunk.len().min(LINE_BYTES_MAX - self.begun.len()));
                self.begun.extend_from_slice(fits);
                if !rest.is_empty() {
                    lines.extend(self.finish());
                    self.begun.extend_from_slice(rest);
                }
            }
            if ended {
                lines.push(self.line());
            }
        }
        lines
    }

    /// The line that was begun and has no end.
    pub fn finish(&mut self) -> Option<String> {
        (!self.begun.is_empty()).then(|| self.line())
    }

    fn line(&mut self) -> String {
        let begun = std::mem::take(&mut self.begun);
        let text = begun.strip_suffix(b"\r").unwrap_or(&begun);
        String::from_utf8_lossy(text).into_owned()
    }
}

#[cfg(test)]
#[path = "stdio_tests.rs"]
mod tests;
