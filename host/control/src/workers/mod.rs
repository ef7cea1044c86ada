//! Where workers dial in: one connection for leases and calls, and HTTP routes beside it
//! for bulk data.

mod bulk;
mod connection;

use crate::blobs::Blobs;
use crate::broker::Broker;
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
    fn add(&self, tell: mpsc::UnboundedSender<FromControl>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(number, Connection { tell, asked: BTreeSet::new() });
        self.came.notify_one();
        number
    }

    fn remove(&self, number: u64) {
        self.open().remove(&number);
    }

    /// Asks the newest connection, waiting for one when there is none.
    async fn ask(&self, Question { request, component }: Question) {
        let mut message = FromControl::Describe { request, component };
        loop {
            if let Some(connection) = self.open().values_mut().next_back() {
                match connection.tell.send(message) {
                    Ok(()) => {
                        connection.asked.insert(request);
                        return;
                    }
                    Err(unsaid) => message = unsaid.0,
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
