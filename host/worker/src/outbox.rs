//! What was said under one lease and is not yet known to be stored.
//!
//! Entries are numbered without gaps. One leaves the outbox once control has stored it
//! and, for a call, answered it; until then it is said again after each reconnection.

use crate::clock;
use slipway_protocol::message::{Body, LogEntry, Metering};
use slipway_protocol::outcome::Outcome;
use slipway_protocol::{Call, FromWorker, Reply};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// The lease is lost: nothing more can be said under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost")]
pub struct Fenced;

/// How a lease stands, for whoever runs under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Go on.
    Held,
    /// The run was cancelled: stop soon.
    Cancelled,
    /// The lease is lost: stop now.
    Lost,
}

/// The outbox of one lease.
pub struct Outbox {
    epoch: u64,
    made: Instant,
    wire: mpsc::UnboundedSender<FromWorker>,
    inner: Mutex<Inner>,
    standing: watch::Sender<Standing>,
}

struct Inner {
    /// Whether what is said goes on the wire at once. While it does not, it waits to be said
    /// again, so that nothing overtakes what comes before it.
    live: bool,
    next: u64,
    pending: VecDeque<Pending>,
}

struct Pending {
    seq: u64,
    body: Body,
    stored: bool,
    answer: Option<oneshot::Sender<Reply>>,
}

impl Outbox {
    /// An empty outbox whose messages go to `wire`.
    pub fn new(epoch: u64, wire: mpsc::UnboundedSender<FromWorker>) -> Self {
        let inner = Mutex::new(Inner { live: true, next: 1, pending: VecDeque::new() });
        Self { epoch, made: clock::instant(), wire, inner, standing: watch::Sender::new(Standing::Held) }
    }

    /// The lease.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When it was made, which is when its lease arrived.
    pub const fn made(&self) -> Instant {
        self.made
    }

    /// How the lease stands, now and later.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Says something that needs no answer, and returns its number.
    pub fn log(&self, entries: Vec<LogEntry>) -> Result<u64, Fenced> {
        self.push(Body::Log { entries }, None)
    }

    /// Says how the attempt ended: the last entry.
    pub fn end(&self, outcome: Outcome, metering: Metering) -> Result<u64, Fenced> {
        self.push(Body::Ended { outcome, metering }, None)
    }

    /// Forwards a call and returns its number and the place where the reply will arrive.
    pub fn call(&self, call: Call) -> Result<(u64, oneshot::Receiver<Reply>), Fenced> {
        let (sender, receiver) = oneshot::channel();
        Ok((self.push(Body::Call { call }, Some(sender))?, receiver))
    }

    /// Control has stored everything up to `seq`. Returns whether the attempt's end is
    /// among it, so that nothing is left to be said.
    pub fn stored(&self, seq: u64) -> bool {
        let mut inner = self.lock();
        for entry in inner.pending.iter_mut().take_while(|entry| entry.seq <= seq) {
            entry.stored = true;
        }
        let ended = inner.pending.iter().any(|entry| entry.stored && matches!(entry.body, Body::Ended { .. }));
        inner.tidy();
        ended
    }

    /// Control answers a call.
    pub fn reply(&self, seq: u64, reply: Reply) {
        let mut inner = self.lock();
        let answer = inner.pending.iter_mut().find(|entry| entry.seq == seq).and_then(|entry| entry.answer.take());
        inner.tidy();
        drop(inner);
        if let Some(answer) = answer {
            // A call whose guest is gone has nobody to wait for its reply.
            let _unheard = answer.send(reply);
        }
    }

    /// Says again what control has not stored or not answered. `stored` is the last entry
    /// that it has.
    pub fn resend(&self, stored: u64) {
        self.stored(stored);
        let mut inner = self.lock();
        inner.live = true;
        for entry in &inner.pending {
            self.send(entry.seq, entry.body.clone());
        }
    }

    /// Puts nothing on the wire until [`Self::resend`].
    pub fn pause(&self) {
        self.lock().live = false;
    }

    /// The run was cancelled.
    pub fn cancel(&self) {
        self.standing.send_if_modified(|standing| {
            let held = *standing == Standing::Held;
            if held {
                *standing = Standing::Cancelled;
            }
            held
        });
    }

    /// The lease is lost: callers that wait for replies are let go.
    pub fn fence(&self) {
        self.standing.send_replace(Standing::Lost);
        self.lock().pending.clear();
    }

    fn push(&self, body: Body, answer: Option<oneshot::Sender<Reply>>) -> Result<u64, Fenced> {
        let mut inner = self.lock();
        if *self.standing.borrow() == Standing::Lost {
            return Err(Fenced);
        }
        let seq = inner.next;
        inner.next += 1;
        inner.pending.push_back(Pending { seq, body: body.clone(), stored: false, answer });
        // Sent under the lock, so that entries leave in the order of their numbers.
        if inner.live {
            self.send(seq, body);
        }
        drop(inner);
        Ok(seq)
    }

    fn send(&self, seq: u64, body: Body) {
        // The receiver ends only with the process.
        let _closing = self.wire.send(FromWorker::Frame { epoch: self.epoch, seq, body });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Drops what is stored and, for a call, answered.
    fn tidy(&mut self) {
        self.pending.retain(|entry| !entry.stored || entry.answer.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> (Outbox, mpsc::UnboundedReceiver<FromWorker>) {
        let (wire, said) = mpsc::unbounded_channel();
        (Outbox::new(7, wire), said)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]
    fn drain(said: &mut mpsc::UnboundedReceiver<FromWorker>) -> Vec<u64> {
        std::iter::from_fn(|| said.try_recv().ok())
            .map(|message| match message {
                FromWorker::Frame { epoch: 7, seq, .. } => seq,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_stored_is_not_said_again() {
        let (outbox, mut said) = outbox();
        for _ in 0..3 {
            outbox.log(vec![]).unwrap();
        }
        assert_eq!(drain(&mut said), [1, 2, 3]);
        outbox.resend(2);
        assert_eq!(drain(&mut said), [3]);
    }

    #[test]
    fn nothing_overtakes_what_is_said_again() {
        let (outbox, mut said) = outbox();
        outbox.log(vec![]).unwrap();
        outbox.pause();
        outbox.log(vec![]).unwrap();
        assert_eq!(drain(&mut said), [1]);
        outbox.resend(0);
        outbox.log(vec![]).unwrap();
        assert_eq!(drain(&mut said), [1, 2, 3]);
    }

    #[test]
    fn a_call_is_said_again_until_it_is_answered() {
        let (outbox, mut said) = outbox();
        let (seq, mut answer) = outbox.call(Call::Restore { app: "a".into() }).unwrap();
        outbox.resend(seq);
        assert_eq!(drain(&mut said), [1, 1], "stored but not answered");
        outbox.reply(seq, Reply::Done);
        assert_eq!(answer.try_recv().unwrap(), Reply::Done);
        outbox.resend(seq);
        assert!(drain(&mut said).is_empty());
        outbox.reply(seq, Reply::Done);
    }

    #[test]
    fn the_end_is_known_once_it_is_stored() {
        let (outbox, _said) = outbox();
        outbox.log(vec![]).unwrap();
        let seq = outbox.end(Outcome { unhappy: None }, Metering::default()).unwrap();
        assert!(!outbox.stored(seq - 1));
        assert!(outbox.stored(seq));
    }

    #[test]
    fn under_a_lost_lease_nothing_is_said() {
        let (outbox, mut said) = outbox();
        let (_, mut answer) = outbox.call(Call::Restore { app: "a".into() }).unwrap();
        outbox.fence();
        assert!(answer.try_recv().is_err(), "the caller is let go");
        assert_eq!(outbox.log(vec![]), Err(Fenced));
        assert_eq!(drain(&mut said), [1]);
        outbox.cancel();
        assert_eq!(*outbox.standing().borrow(), Standing::Lost);
    }
}
