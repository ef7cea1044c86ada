//! Standard output of a guest, as lines of the log.

use crate::log::{LINE_BYTES_MAX, Log};
use slipway_engine::{LineStream, Sink};
use std::sync::Arc;

/// The source of standard error.
pub const STDERR: &str = "stderr";

/// One of the two output streams.
pub type LogStream = LineStream<Lines, LINE_BYTES_MAX>;

/// Writes lines to the log of an attempt.
pub struct Lines {
    log: Arc<Log>,
    source: &'static str,
}

/// A stream whose lines go to the log under this source.
pub fn stream(log: &Arc<Log>, source: &'static str) -> LogStream {
    LineStream::new(Lines { log: Arc::clone(log), source })
}

impl Sink for Lines {
    fn line(&self, line: String) {
        if self.source == STDERR {
            self.log.heard(&line);
        }
        self.log.write(self.source, "info", line, Vec::new());
    }
}
