//! What has to wait until it is durable: acknowledgements to workers, news to listeners.

use super::{Changes, Inner};
use crate::store::Ticket;
use slipway_protocol::FromControl;
use std::sync::{Mutex, PoisonError, Weak};
use tokio::sync::mpsc;

/// Something to say to a worker: the way there, and what.
pub(super) type Tell = (mpsc::UnboundedSender<FromControl>, FromControl);

/// Something to do once a commit is durable.
pub(super) struct After {
    /// The commit.
    pub(super) ticket: Ticket,
    /// The run that it is about.
    pub(super) run: String,
    /// What to tell a worker.
    pub(super) tell: Option<Tell>,
    /// The frame that it holds, or that it holds the reply to: lease and number.
    pub(super) frame: Option<(u64, u64)>,
}

/// Does such things in the order of the commits.
#[derive(Clone)]
pub(super) struct Settler(mpsc::UnboundedSender<After>);

impl Settler {
    /// Starts the task. It ends with the last clone.
    pub(super) fn start(changes: Changes, inner: Weak<Mutex<Inner>>) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel::<After>();
        tokio::spawn(async move {
            while let Some(After { ticket, run, tell, frame }) = receiver.recv().await {
                if let Err(error) = ticket.durable().await {
                    tracing::error!(%error, run, "what was decided is not durable");
                    continue;
                }
                if let (Some((epoch, seq)), Some(inner)) = (frame, inner.upgrade()) {
                    // From now on the journal has it.
                    let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(lease) = inner.leases.get_mut(&epoch) {
                        lease.durable_seq = lease.durable_seq.max(seq);
                        lease.answered.remove(&seq);
                    }
                }
                if let Some((to, message)) = tell {
                    // A worker that has gone asks again when it comes back.
                    let _gone = to.send(message);
                }
                changes.tell(&run);
            }
        });
        Self(sender)
    }

    /// Does something once a commit is durable.
    pub(super) fn after(&self, after: After) {
        // The task ends only with the process.
        let _closing = self.0.send(after);
    }
}
