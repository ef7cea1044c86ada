//! A light load: requests that go on while releases change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::app::{self, App};

/// The time from one request to the next.
const PACE: Duration = Duration::from_millis(20);

/// Requests under way.
#[derive(Debug)]
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Tally>>,
}

/// How the requests ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) failures: u64,
    /// What the first failure was.
    pub(super) first_failure: Option<String>,
    pub(super) slowest: Duration,
}

impl Load {
    /// Begins to ask the app for its version, which has to be this one all the time.
    pub(super) fn start(app: &App, version: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (app, version, stopped) = (app.anew(), version.to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                tally.add(ask(&app, &version), started.elapsed());
                next += PACE;
                // After a slow answer the pace goes on from here, without a burst.
                next = next.max(Instant::now());
                std::thread::sleep(next - Instant::now());
            }
            tally
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends the requests and returns how they went.
    pub(super) fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("the thread is taken here only");
        thread.join().expect("the thread has nothing that panics")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    fn add(&mut self, result: Result<(), String>, time: Duration) {
        self.requests += 1;
        self.slowest = self.slowest.max(time);
        if let Err(reason) = result {
            self.failures += 1;
            self.first_failure.get_or_insert(reason);
        }
    }
}

fn ask(app: &App, version: &str) -> Result<(), String> {
    let answer = app.get("/version").map_err(|error| format!("{error:#}"))?;
    if app::version(&answer).as_deref() == Some(version) {
        return Ok(());
    }
    Err(format!("answered {}: {}", answer.status, answer.body))
}

#[cfg(test)]
mod tests {
    use super::super::app::tests::app;
    use super::*;
    use crate::slipway::http::tests::serve;

    #[test]
    fn an_answer_of_another_version_is_a_failure() {
        let answers = vec![
            "HTTP/1.1 200 OK\r\ncontent-length: 19\r\nconnection: close\r\n\r\n{\"version\":\"1.0.0\"}",
            "HTTP/1.1 200 OK\r\ncontent-length: 19\r\nconnection: close\r\n\r\n{\"version\":\"1.0.2\"}",
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ];
        let (address, asked) = serve(answers);
        let app = app(&address.replace("127.0.0.1", "{app}.localhost"));
        let load = Load::start(&app, "1.0.0");
        for _ in 0..3 {
            let request = asked.recv().unwrap();
            assert!(request.contains("host: hello.localhost:"), "{request}");
        }
        let tally = load.stop();
        assert!(tally.requests >= 3);
        assert_eq!(tally.failures, tally.requests - 1);
        assert_eq!(tally.first_failure.as_deref(), Some("answered 200: {\"version\":\"1.0.2\"}"));
    }
}
