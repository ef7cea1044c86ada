//! The last fence: a call that does not come back although its time is long over ends the
//! process, so that control gives the attempt, and all others here, to another worker.
//!
//! Timeouts end a guest that computes or waits. This is for a host function that blocks
//! its thread, which would be a bug of ours.

use crate::clock;
use crate::session::Session;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after its limit a call may take to come back (`threats.md` §1, rule 4). The grace of
/// a cancelled stage lies within its limit.
const GRACE: Duration = Duration::from_secs(2);
/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(500);

/// Watches calls.
#[derive(Clone)]
pub struct Watchdog(Arc<Calls>);

#[derive(Default)]
struct Calls {
    next: AtomicU64,
    due: Mutex<HashMap<u64, (Instant, String)>>,
}

/// A call being watched, until this is dropped.
pub struct Watch {
    number: u64,
    calls: Arc<Calls>,
}

impl Watchdog {
    /// Starts the thread that looks.
    pub fn start() -> io::Result<Self> {
        let calls = Arc::new(Calls::default());
        let watched = Arc::downgrade(&calls);
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            while let Some(calls) = watched.upgrade() {
                if let Some(stage) = calls.overdue(clock::instant()) {
                    tracing::error!(stage, "a call did not come back after its time was over: ending the worker");
                    std::process::abort();
                }
                drop(calls);
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(Self(calls))
    }

    /// Watches one call.
    pub fn watch(&self, limit: Duration, session: &Session) -> Watch {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}/{}", session.lease.run, session.lease.stage);
        let due = clock::instant() + limit + GRACE;
        self.0.due.lock().unwrap_or_else(PoisonError::into_inner).insert(number, (due, name));
        Watch { number, calls: Arc::clone(&self.0) }
    }
}

impl Calls {
    fn overdue(&self, now: Instant) -> Option<String> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.values().find(|(due, _)| *due < now).map(|(_, name)| name.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.calls.due.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_overdue_only_after_its_time() {
        let calls = Arc::new(Calls::default());
        let now = clock::instant();
        calls.due.lock().unwrap().insert(1, (now, "run/stage".into()));
        let watch = Watch { number: 1, calls: Arc::clone(&calls) };
        assert_eq!(calls.overdue(now), None);
        assert_eq!(calls.overdue(now + Duration::from_millis(1)).as_deref(), Some("run/stage"));
        drop(watch);
        assert_eq!(calls.overdue(now + Duration::from_secs(1)), None);
    }
}
