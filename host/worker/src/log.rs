//! The log of one attempt: entries are gathered for a moment and sent together, and a
//! flood is cut in the middle, so that its beginning and its end are kept.

use crate::clock;
use crate::outbox::Outbox;
use slipway_domain::text::cut;
use slipway_protocol::message::LogEntry;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// The longest text of one entry, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// What of the end of a flood is kept, in bytes.
const TAIL_BYTES: usize = 256 << 10;
/// How long entries are gathered.
const GATHER: Duration = Duration::from_millis(50);
/// How many bytes are gathered at most.
const GATHER_BYTES: usize = 32 << 10;
/// How much of a panic's message becomes the fault's, in bytes.
const LAST_WORDS_BYTES: usize = 1 << 10;
/// What an entry costs beside its text, in bytes.
const ENTRY_BYTES: usize = 48;

/// The log of one attempt.
pub struct Log {
    outbox: Arc<Outbox>,
    runtime: Handle,
    inner: Mutex<Inner>,
}

struct Inner {
    gathered: Vec<LogEntry>,
    gathered_bytes: usize,
    total_bytes: u64,
    bytes_max: u64,
    flood: Option<Flood>,
    /// What the guest wrote to standard error since it began to panic.
    last_words: String,
}

/// What came after the limit.
#[derive(Default)]
struct Flood {
    tail: VecDeque<LogEntry>,
    tail_bytes: usize,
    left_out: u64,
    left_out_bytes: u64,
}

impl Log {
    /// An empty log that takes `bytes_max` bytes before it cuts.
    pub fn new(outbox: Arc<Outbox>, bytes_max: u64, runtime: Handle) -> Arc<Self> {
        let inner = Inner {
            gathered: Vec::new(),
            gathered_bytes: 0,
            total_bytes: 0,
            bytes_max,
            flood: None,
            last_words: String::new(),
        };
        Arc::new(Self { outbox, runtime, inner: Mutex::new(inner) })
    }

    /// Writes an entry with the time of now.
    pub fn write(self: &Arc<Self>, source: &str, level: &str, message: String, fields: Vec<(String, String)>) {
        let entry = LogEntry {
            at_us: clock::now_us(),
            source: source.to_owned(),
            level: level.to_owned(),
            message: cut(message, LINE_BYTES_MAX),
            fields,
        };
        let size = size(&entry);
        let mut inner = self.lock();
        inner.total_bytes = inner.total_bytes.saturating_add(size as u64);
        if inner.total_bytes > inner.bytes_max {
            inner.flood.get_or_insert_default().push(entry, size);
            return;
        }
        let first = inner.gathered.is_empty();
        inner.gathered.push(entry);
        inner.gathered_bytes += size;
        if inner.gathered_bytes >= GATHER_BYTES {
            self.send(&mut inner);
        } else if first {
            drop(inner);
            let log = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep(GATHER).await;
                log.flush();
            });
        }
    }

    /// Listens to a line of standard error for the words with which a Rust program ends:
    /// `thread 'main' panicked at src/lib.rs:1:2:`, then the message, then a note.
    pub fn heard(&self, line: &str) {
        let mut inner = self.lock();
        if let Some((thread, place)) = line.split_once(" panicked at ")
            && thread.trim_start().starts_with("thread ")
        {
            inner.last_words = format!("panicked at {place}");
        } else if !inner.last_words.is_empty()
            && inner.last_words.len() < LAST_WORDS_BYTES
            && !line.starts_with("note: ")
        {
            inner.last_words.push(' ');
            inner.last_words.push_str(line);
        }
    }

    /// The guest's own words about its end, if it panicked.
    pub fn last_words(&self) -> Option<String> {
        let words = std::mem::take(&mut self.lock().last_words);
        if words.is_empty() { None } else { Some(cut(words, LAST_WORDS_BYTES)) }
    }

    /// Sends what was gathered. Called before anything that should come after it.
    pub fn flush(&self) {
        let mut inner = self.lock();
        self.send(&mut inner);
    }

    /// Ends the log: what was gathered, and the end of a flood.
    pub fn finish(&self) {
        let mut inner = self.lock();
        if let Some(flood) = inner.flood.take() {
            if flood.left_out > 0 {
                let bytes_max = inner.bytes_max;
                inner.gathered.push(LogEntry {
                    at_us: flood.tail.front().map_or_else(clock::now_us, |entry| entry.at_us),
                    source: "host".into(),
                    level: "warn".into(),
                    message: format!(
                        "the log reached its limit of {} bytes: {} entries with {} bytes are left out here",
                        bytes_max, flood.left_out, flood.left_out_bytes
                    ),
                    fields: Vec::new(),
                });
            }
            inner.gathered.extend(flood.tail);
        }
        self.send(&mut inner);
    }

    /// All text that was written, in bytes, cut or not.
    pub fn bytes(&self) -> u64 {
        self.lock().total_bytes
    }

    fn send(&self, inner: &mut Inner) {
        if inner.gathered.is_empty() {
            return;
        }
        inner.gathered_bytes = 0;
        // Under a lost lease nobody wants the log: the next holder writes its own.
        let _fenced = self.outbox.log(std::mem::take(&mut inner.gathered));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flood {
    fn push(&mut self, entry: LogEntry, bytes: usize) {
        self.tail.push_back(entry);
        self.tail_bytes += bytes;
        while self.tail_bytes > TAIL_BYTES {
            let Some(oldest) = self.tail.pop_front() else { break };
            let bytes = size(&oldest);
            self.tail_bytes -= bytes;
            self.left_out += 1;
            self.left_out_bytes += bytes as u64;
        }
    }
}

fn size(entry: &LogEntry) -> usize {
    let fields: usize = entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    ENTRY_BYTES + entry.message.len() + fields
}

/// Makes lines of bytes that come in pieces.
pub type Lines = slipway_engine::Lines<LINE_BYTES_MAX>;

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_protocol::FromWorker;
    use slipway_protocol::message::Body;
    use tokio::sync::mpsc;

    #[expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]
    fn entries(said: &mut mpsc::UnboundedReceiver<FromWorker>) -> Vec<LogEntry> {
        std::iter::from_fn(|| said.try_recv().ok())
            .flat_map(|message| match message {
                FromWorker::Frame { body: Body::Log { entries }, .. } => entries,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn log(bytes_max: u64) -> (Arc<Log>, mpsc::UnboundedReceiver<FromWorker>) {
        let (wire, said) = mpsc::unbounded_channel();
        (Log::new(Arc::new(Outbox::new(1, wire)), bytes_max, Handle::current()), said)
    }

    #[tokio::test(start_paused = true)]
    async fn entries_are_gathered_for_a_moment() {
        let (log, mut said) = log(1 << 20);
        log.write("stage", "info", "a".into(), vec![]);
        log.write("stage", "info", "b".into(), vec![]);
        assert_eq!(entries(&mut said).len(), 0);
        tokio::time::sleep(GATHER * 2).await;
        assert_eq!(entries(&mut said).len(), 2);
    }

    #[tokio::test]
    async fn a_flood_keeps_its_beginning_and_its_end() {
        let (log, mut said) = log(100_000);
        for number in 0..100_000 {
            log.write("stage", "info", format!("line {number}"), vec![]);
        }
        log.finish();
        let entries = entries(&mut said);
        assert_eq!(entries.first().unwrap().message, "line 0");
        assert_eq!(entries.last().unwrap().message, "line 99999");
        assert!(entries.len() < 10_000, "{}", entries.len());
        let marker = entries.iter().find(|entry| entry.source == "host").unwrap();
        assert!(marker.message.contains("are left out here"), "{}", marker.message);
    }

    #[tokio::test]
    async fn what_fits_is_never_cut() {
        let (log, mut said) = log(100_000);
        for number in 0..100 {
            log.write("stage", "info", format!("line {number}"), vec![]);
        }
        log.finish();
        assert_eq!(entries(&mut said).len(), 100);
    }

    #[tokio::test]
    async fn a_long_entry_is_cut() {
        let (log, mut said) = log(1 << 20);
        log.write("stage", "info", "x".repeat(LINE_BYTES_MAX + 1), vec![]);
        log.finish();
        let message = &entries(&mut said)[0].message;
        assert!(message.ends_with("x … (1 bytes cut)"), "{}", message.len());
    }

    #[tokio::test]
    async fn the_last_words_of_a_panic_are_kept_and_nothing_else() {
        let (log, _said) = log(1 << 20);
        let hear = |lines: &[&str]| lines.iter().for_each(|line| log.heard(line));
        hear(&["warning: it panicked at noon", "bye"]);
        assert_eq!(log.last_words(), None);
        hear(&[
            "before",
            "thread '<unnamed>' (1) panicked at src/lib.rs:6:5:",
            "left: 1",
            "right: 2",
            "note: run with",
        ]);
        assert_eq!(log.last_words().unwrap(), "panicked at src/lib.rs:6:5: left: 1 right: 2");
        hear(&["thread 'a' panicked at b:", &"x".repeat(4 << 10), "more"]);
        assert!(log.last_words().unwrap().len() < 2 << 10);
    }

    #[tokio::test]
    async fn much_is_not_gathered_for_long() {
        let (log, mut said) = log(1 << 20);
        let line = "x".repeat(1 << 10);
        for _ in 0..GATHER_BYTES / line.len() {
            log.write("stage", "info", line.clone(), vec![]);
        }
        assert!(!entries(&mut said).is_empty(), "before any time has passed");
    }

    #[tokio::test]
    async fn a_log_under_a_lost_lease_goes_nowhere() {
        let (wire, mut said) = mpsc::unbounded_channel();
        let outbox = Arc::new(Outbox::new(1, wire));
        let log = Log::new(Arc::clone(&outbox), 1 << 20, Handle::current());
        outbox.fence();
        log.write("stage", "info", "a".into(), vec![]);
        log.finish();
        assert!(said.try_recv().is_err());
        assert!(log.bytes() > 0, "it is counted all the same");
    }
}
