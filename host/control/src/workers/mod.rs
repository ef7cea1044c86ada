//! Where workers dial in: one connection for leases and calls, and HTTP routes beside it
//! for bulk data.

mod bulk;
mod connection;

use crate::blobs::Blobs;
use crate::broker::Broker;
use crate::children::EMBEDDED;
use crate::plugins::{Plugins, Question};
use crate::scheduler::Scheduler;
use axum::Router;
use axum::routing::{get, put};
use slipway_protocol::FromControl;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

#[cfg(test)]
mod rogue_tests;
#[cfg(test)]
mod tests;

/// All that the routes of workers need. Clones share it.
#[derive(Clone)]
pub struct Workers {
    scheduler: Scheduler,
    broker: Broker,
    plugins: Plugins,
    blobs: Blobs,
    connected: Arc<Connected>,
}

/// The connections, so that questions reach somebody.
#[derive(Default)]
struct Connected {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Connection>>,
    came: Notify,
}

/// A connection, and the questions that were asked on it and are not answered.
struct Connection {
    /// The name of the token that it came with.
    token: String,
    tell: mpsc::UnboundedSender<FromControl>,
    asked: BTreeSet<u64>,
}

/// The name by which a worker is known: that of its token, which control has given out, before
/// the one that it gives itself. So no worker can speak for one that came with another token.
pub fn full_name(token: &str, worker: &str) -> String {
    format!("{token}/{worker}")
}

/// The name of the token in the full name of a worker.
pub fn token_of(full_name: &str) -> &str {
    full_name.split_once('/').map_or("", |(token, _)| token)
}

impl Workers {
    /// Routes over these. `questions` are passed on to whichever worker is connected.
    pub fn new(
        scheduler: Scheduler,
        broker: Broker,
        plugins: Plugins,
        blobs: Blobs,
        mut questions: mpsc::UnboundedReceiver<Question>,
    ) -> Self {
        let connected = Arc::new(Connected::default());
        let asking = Arc::clone(&connected);
        tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                asking.ask(question).await;
            }
        });
        Self { scheduler, broker, plugins, blobs, connected }
    }

    /// The routes, to be put behind the check of a worker's token.
    pub fn router(self) -> Router {
        Router::new()
            .route("/worker/v1/connect", get(connection::connect))
            .route("/worker/v1/components/{digest}", get(bulk::component))
            .route("/worker/v1/leases/{epoch}/component", get(bulk::lease_component))
            .route("/worker/v1/leases/{epoch}/source", get(bulk::source))
            .route("/worker/v1/leases/{epoch}/blobs/{digest}", get(bulk::blob))
            .route("/worker/v1/leases/{epoch}/blobs", put(bulk::upload))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self)
    }
}

impl Connected {
    fn add(&self, token: &str, tell: mpsc::UnboundedSender<FromControl>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { token: token.to_owned(), tell, asked: BTreeSet::new() };
        self.open().insert(number, connection);
        self.came.notify_one();
        number
    }

    fn remove(&self, number: u64) {
        self.open().remove(&number);
    }

    /// Asks a connection that was not asked the same before: the server's own worker if it is
    /// there, else the newest. Waits for one when there is none at all.
    async fn ask(&self, Question { request, component }: Question) {
        loop {
            {
                let mut open = self.open();
                let is_there = open.values().any(|connection| !connection.tell.is_closed());
                let fresh = open
                    .iter_mut()
                    .filter(|(_, connection)| !connection.tell.is_closed() && !connection.asked.contains(&request));
                let best = fresh.max_by_key(|(number, connection)| (connection.token == EMBEDDED, **number));
                if let Some((_, connection)) = best {
                    connection.asked.insert(request);
                    // One that is closing is asked in vain, and another is the next time.
                    let _closing = connection.tell.send(FromControl::Describe { request, component });
                    return;
                }
                if is_there {
                    return;
                }
            }
            self.came.notified().await;
        }
    }

    /// Whether a question was asked on this connection and not answered before. Nobody answers
    /// for another.
    fn was_asked(&self, number: u64, request: u64) -> bool {
        self.open().get_mut(&number).is_some_and(|connection| connection.asked.remove(&request))
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
