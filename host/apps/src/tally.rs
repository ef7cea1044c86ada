//! How often an app was asked, how often it failed, and how many requests it may have at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The counters of one app. They live as long as the app has a release.
#[derive(Debug)]
pub(crate) struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    in_flight: AtomicU32,
    places: Arc<Semaphore>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests from users.
    pub(crate) requests: u64,
    /// Those that ended with a status of 500 or more, or broke off.
    pub(crate) failures: u64,
    /// Those that run.
    pub(crate) in_flight: u32,
}

impl Tally {
    /// Counters at zero, and this many places.
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// Counts a request and gives it a place; `None` when all are taken, which is a failure.
    pub(crate) fn visit(self: &Arc<Self>) -> Option<Arc<Visit>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Visit { tally: Arc::clone(self), failed: AtomicBool::new(false), _place: place }))
    }

    /// The counters now.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }
}

/// One request from a user. Dropping the last clone gives its place back.
#[derive(Debug)]
pub(crate) struct Visit {
    tally: Arc<Tally>,
    failed: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    /// Counts it as a failure, once.
    pub(crate) fn fail(&self) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.tally.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.tally.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_takes_a_place_and_gives_it_back() {
        let tally = Tally::new(1);
        let visit = tally.visit().unwrap();
        assert!(tally.visit().is_none(), "the only place is taken");
        assert_eq!(tally.counts(), Counts { requests: 2, failures: 1, in_flight: 1 });
        drop(visit);
        assert!(tally.visit().is_some());
    }

    #[test]
    fn a_failure_is_counted_once() {
        let tally = Tally::new(8);
        let visit = tally.visit().unwrap();
        visit.fail();
        visit.fail();
        drop(visit);
        assert_eq!(tally.counts(), Counts { requests: 1, failures: 1, in_flight: 0 });
    }
}
