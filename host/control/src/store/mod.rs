//! What has to survive: SQLite in WAL mode with every commit synced, one writer.
//!
//! Writes are put in a queue and committed in groups: while one transaction is synced to
//! the disk, the next gathers. The queue keeps its order, so whatever a [`Ticket`] was
//! given for is durable together with everything that was queued before it.

mod open;
mod read;
pub mod rows;
mod write;
mod writer;

pub use open::{Error, SCHEMA_VERSION};
pub use read::{AuditFilter, AuditRecord, LogPage, RunFilter};
pub use write::Write;
pub use writer::{CommitError, Submission, Submitted, Ticket};

use sqlx::SqlitePool;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    queue: mpsc::UnboundedSender<writer::Job>,
    /// Gone once the store is closed.
    lock: Arc<Mutex<Option<open::InstanceLock>>>,
}
