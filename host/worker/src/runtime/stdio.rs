//! Standard output of a guest, as lines of the log.
//!
//! A stream of our own, because it never waits and never grows: whatever is not a whole
//! line yet is at most one line.

use crate::log::{LINE_BYTES_MAX, Lines, Log};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// One of the two output streams.
#[derive(Clone)]
pub struct LogStream {
    log: Arc<Log>,
    source: &'static str,
    lines: Arc<Mutex<Lines>>,
}

impl LogStream {
    /// A stream whose lines go to the log under this source.
    pub fn new(log: Arc<Log>, source: &'static str) -> Self {
        Self { log, source, lines: Arc::default() }
    }

    fn take(&self, bytes: &[u8]) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        for line in lines {
            self.log.write(self.source, "info", line, Vec::new());
        }
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        // The last of the clones that share these lines writes what has no end.
        if Arc::strong_count(&self.lines) == 1
            && let Some(line) = self.lines.lock().unwrap_or_else(PoisonError::into_inner).finish()
        {
            self.log.write(self.source, "info", line, Vec::new());
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
