//! What a worker says under a lease, taken once each and in order.

use super::dispatch::LOG_BYTES_MAX;
use super::leases::Lease;
use super::settle::After;
use super::{Left, Pipeline, Scheduler, mask, now};
use crate::store::rows::{JournalRow, LogRow};
use crate::store::{Ticket, Write};
use slipway_domain::grant::Grants;
use slipway_domain::outcome::Unhappy;
use slipway_domain::run::Loss;
use slipway_domain::{RunId, StageName};
use slipway_protocol::message::{Body, LogEntry, Metering};
use slipway_protocol::{Call, FromControl, Reply};
use std::sync::Arc;

/// The most calls of an attempt: all of them are on the journal.
const CALLS_MAX: u64 = 100_000;
/// The most bytes of calls of an attempt.
const CALL_BYTES_MAX: u64 = 64 << 20;
/// What an entry of a log takes beside its text, in bytes.
const ENTRY_BYTES: usize = 48;

/// What the broker has to know of the attempt behind a call.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The run.
    pub run: RunId,
    /// The pipeline's name.
    pub pipeline_name: String,
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The stage.
    pub stage: StageName,
    /// The phase.
    pub phase: String,
    /// The lease.
    pub epoch: u64,
    /// The frame.
    pub seq: u64,
    /// What the stage may do.
    pub grants: Grants,
    /// What it has left so far.
    pub left: Arc<Left>,
    /// The commit.
    pub revision: String,
    /// The version.
    pub version: Option<String>,
    /// The trust tier.
    pub tier: String,
    /// The size of the upload that a `PutArtifact` names.
    pub upload_size: Option<u64>,
}

/// What to do with a call that was taken.
pub enum Taken {
    /// Check it, act, and give the reply to [`Scheduler::reply`]. The ticket tells when the
    /// call is on the durable journal.
    Act(Box<CallContext>, Call, Ticket),
    /// It was taken before, and this is what came of it.
    Answered(Reply),
    /// It was taken before this process began: the journal has it.
    Before {
        /// The run.
        run: RunId,
        /// The stage.
        stage: StageName,
        /// The call as it is said now.
        call: Call,
    },
    /// Nothing more.
    Done,
    /// The sender has lost the lease.
    Fenced,
}

impl Scheduler {
    /// Takes a frame. One that was taken before is dropped; one that no worker which keeps to the
    /// protocol would say costs the lease.
    pub fn frame(&self, worker: &str, connection: u64, epoch: u64, seq: u64, body: Body) -> Taken {
        let masker = self.masker(epoch);
        let body = mask::body(&masker, body);
        let text = if let Body::Call { call } = &body { mask::text(&masker, call) } else { String::new() };
        let mut inner = self.lock();
        if !inner.workers.get(worker).is_some_and(|worker| worker.is_on(connection)) {
            // The worker has connected anew; what it says here it says there again.
            return Taken::Done;
        }
        let Some(lease) = inner.leases.get_mut(&epoch).filter(|lease| lease.worker == worker) else {
            // An end whose acknowledgement was lost: say it again, the lease is over.
            return if matches!(body, Body::Ended { .. }) { Taken::Done } else { Taken::Fenced };
        };
        let (run, stage) = (lease.run.clone(), lease.stage.clone());
        if seq <= lease.last_seq {
            return match body {
                Body::Call { .. } if lease.answering.contains_key(&seq) => Taken::Done,
                Body::Call { call } => match lease.answered.get(&seq) {
                    Some(reply) => Taken::Answered(reply.clone()),
                    None => Taken::Before { run, stage, call },
                },
                Body::Log { .. } | Body::Ended { .. } => Taken::Done,
            };
        }
        if seq != lease.last_seq + 1 {
            // What is missing will not come any more: waiting for it would hold the stage for ever.
            tracing::error!(worker, epoch, seq, expected = lease.last_seq + 1, "frames of a lease are missing");
            self.lose(&mut inner, epoch, Loss::Innocent);
            return Taken::Fenced;
        }
        if !lease.allows(&body) {
            // A worker of ours never says that.
            tracing::error!(worker, epoch, seq, "a worker does not keep to the protocol: it loses the lease");
            self.lose(&mut inner, epoch, Loss::Death);
            return Taken::Fenced;
        }
        lease.last_seq = seq;
        match body {
            Body::Ended { outcome, metering } => {
                self.end(&mut inner, epoch, seq, outcome, &metering);
                Taken::Done
            }
            Body::Log { entries } => {
                lease.log_bytes = lease.log_bytes.saturating_add(entries.iter().map(entry_bytes).sum());
                let Some(active) = inner.runs.get_mut(&run) else { return Taken::Fenced };
                let Some(attempt) = active.attempts.get_mut(&stage) else { return Taken::Fenced };
                attempt.stored_seq = seq;
                let first = active.last_log_entry + 1;
                active.last_log_entry += entries.len() as u64;
                let row = LogRow {
                    run: run.to_string(),
                    first,
                    last: active.last_log_entry,
                    stage: stage.to_string(),
                    phase: attempt.phase.clone(),
                    attempt: attempt.number,
                    entries: log_json(&entries),
                };
                let writes = vec![Write::Log(row), Write::Attempt(attempt.clone())];
                let tell = inner.workers.get(worker).and_then(|worker| worker.acknowledgement(epoch, seq));
                let ticket = self.store.commit(writes);
                let frame = Some((epoch, seq));
                self.settler.after(After { ticket, run: run.to_string(), tell, frame });
                Taken::Done
            }
            Body::Call { call } => {
                lease.answering.insert(seq, is_guests(&call));
                let upload_size = if let Call::PutArtifact { digest, .. } = &call {
                    lease.uploads.get(digest).copied()
                } else {
                    None
                };
                lease.calls += 1;
                lease.call_bytes = lease.call_bytes.saturating_add(text.len() as u64);
                if let Some(limit) = lease.call_limit() {
                    let fault = slipway_domain::outcome::Fault::Limit { limit };
                    let outcome = slipway_domain::outcome::Outcome::Unhappy(Unhappy::Errored(fault));
                    self.end(&mut inner, epoch, seq, outcome.into(), &Metering::default());
                    return Taken::Fenced;
                }
                let Some(active) = inner.runs.get_mut(&run) else { return Taken::Fenced };
                let Some(attempt) = active.attempts.get_mut(&stage) else { return Taken::Fenced };
                attempt.stored_seq = seq;
                let journal = JournalRow {
                    run: run.to_string(),
                    stage: stage.to_string(),
                    epoch,
                    seq,
                    at: now(),
                    function: call.function(),
                    call: text,
                };
                let ticket = self.store.commit(vec![Write::Journal(journal), Write::Attempt(attempt.clone())]);
                let context = self.context(&inner, epoch, seq, upload_size);
                match context {
                    Some(context) => Taken::Act(Box::new(context), call, ticket),
                    None => Taken::Fenced,
                }
            }
        }
    }

    /// The context of a call whose answer was lost with an earlier process. `None` when it is
    /// being answered already.
    pub fn again(&self, epoch: u64, seq: u64, call: &Call) -> Option<CallContext> {
        let mut inner = self.lock();
        let lease = inner.leases.get_mut(&epoch)?;
        if lease.answered.contains_key(&seq) || lease.answering.contains_key(&seq) {
            return None;
        }
        lease.answering.insert(seq, is_guests(call));
        self.context(&inner, epoch, seq, None)
    }

    /// Takes a lease from a worker that does not keep to the protocol.
    pub fn distrust(&self, epoch: u64) {
        self.lose(&mut self.lock(), epoch, Loss::Death);
    }

    fn context(&self, inner: &super::Inner, epoch: u64, seq: u64, upload_size: Option<u64>) -> Option<CallContext> {
        let lease = inner.leases.get(&epoch)?;
        let active = inner.runs.get(&lease.run)?;
        let attempt = active.attempts.get(&lease.stage)?;
        Some(CallContext {
            run: lease.run.clone(),
            pipeline_name: active.row.pipeline.clone(),
            pipeline: Arc::clone(&active.pipeline),
            stage: lease.stage.clone(),
            phase: attempt.phase.clone(),
            epoch,
            seq,
            grants: active.pipeline.checked.stages.get(&lease.stage)?.grants.clone(),
            left: active.left.get(&lease.stage).cloned().unwrap_or_default(),
            revision: active.row.revision.clone(),
            version: active.row.version.clone(),
            tier: active.row.tier.clone(),
            upload_size,
        })
    }

    /// Puts the reply to a call on the journal together with what follows from it, and tells
    /// the worker. `keep` changes what the stage has left, if the lease still holds.
    pub fn reply(&self, context: CallContext, reply: Reply, also: Vec<Write>, keep: impl FnOnce(&mut Left)) {
        let CallContext { run, stage, epoch, seq, left, pipeline_name, .. } = context;
        let text = mask::reply_text(&self.secrets.masker(&pipeline_name), &reply);
        // So that what is kept is changed where it is.
        drop(left);
        let mut inner = self.lock();
        let Some(lease) = inner.leases.get_mut(&epoch) else { return };
        let worker = lease.worker.clone();
        lease.answering.remove(&seq);
        lease.answered.insert(seq, reply.clone());
        if let Some(active) = inner.runs.get_mut(&run) {
            keep(Arc::make_mut(active.left.entry(stage.clone()).or_default()));
        }
        let mut writes = also;
        writes.push(Write::Reply {
            run: run.to_string(),
            stage: stage.to_string(),
            epoch,
            seq,
            reply: text,
            at: now(),
        });
        let ticket = self.store.commit(writes);
        let worker = inner.workers.get(&worker);
        if let Some(worker) = worker {
            worker.tell(FromControl::Reply { epoch, seq, reply });
        }
        let tell = worker.and_then(|worker| worker.acknowledgement(epoch, seq));
        self.settler.after(After { ticket, run: run.to_string(), tell, frame: Some((epoch, seq)) });
    }
}

/// Whether a call is the guest's, which waits for its reply. What tools do is told by the worker.
const fn is_guests(call: &Call) -> bool {
    !matches!(call, Call::ToolExited { .. } | Call::ConnectTool { .. } | Call::ToolDisconnected { .. })
}

impl Lease {
    /// Whether a worker that keeps to the protocol may say this next.
    fn allows(&self, body: &Body) -> bool {
        match body {
            // A worker of ours gathers entries, and cuts a flood long before this limit. Rows are
            // known by their first entry, so one without would be in the next one's way.
            Body::Log { entries } => !entries.is_empty() && self.log_bytes <= LOG_BYTES_MAX * 2,
            Body::Ended { .. } => true,
            // A guest waits for the reply to each of its calls.
            Body::Call { call } => !is_guests(call) || self.answering.values().all(|guests| !guests),
        }
    }

    /// The limit that the calls under this lease have reached.
    fn call_limit(&self) -> Option<String> {
        if self.calls > CALLS_MAX {
            Some(format!("{CALLS_MAX} calls of the host"))
        } else if self.call_bytes > CALL_BYTES_MAX {
            Some(format!("{} MiB of calls of the host", CALL_BYTES_MAX >> 20))
        } else {
            None
        }
    }
}

/// What an entry counts for, in bytes.
fn entry_bytes(entry: &LogEntry) -> u64 {
    let fields: usize = entry.fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    (ENTRY_BYTES + entry.source.len() + entry.level.len() + entry.message.len() + fields) as u64
}

/// Entries as they are stored and shown: the time as text, no empty fields.
fn log_json(entries: &[LogEntry]) -> String {
    let entries: Vec<serde_json::Value> = entries
        .iter()
        .map(|entry| {
            let at = i64::try_from(entry.at_us).unwrap_or(0);
            let mut object = serde_json::json!({
                "at": crate::clock::text(at),
                "source": entry.source,
                "level": entry.level,
                "message": entry.message,
            });
            if let (false, Some(object)) = (entry.fields.is_empty(), object.as_object_mut()) {
                let fields = entry.fields.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
                object.insert("fields".into(), serde_json::Value::Object(fields));
            }
            object
        })
        .collect();
    serde_json::Value::Array(entries).to_string()
}
