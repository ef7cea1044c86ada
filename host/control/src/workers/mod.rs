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
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    senders: Mutex<BTreeMap<u64, mpsc::UnboundedSender<FromControl>>>,
    came: Notify,
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
            while let Some(Question { request, component }) = questions.recv().await {
                asking.ask(FromControl::Describe { request, component }).await;
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
    fn add(&self, sender: mpsc::UnboundedSender<FromControl>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        self.came.notify_one();
        number
    }

    fn remove(&self, number: u64) {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Says something to the newest connection, waiting for one when there is none.
    async fn ask(&self, message: FromControl) {
        loop {
            let sender = self.senders.lock().unwrap_or_else(PoisonError::into_inner).values().next_back().cloned();
            match sender {
                Some(sender) if sender.send(message.clone()).is_ok() => return,
                Some(_) | None => self.came.notified().await,
            }
        }
    }
}
