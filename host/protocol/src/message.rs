//! The messages themselves.

use crate::call::{Call, Reply};
use crate::lease::{Component, Lease};
use crate::outcome::Outcome;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromWorker {
    /// The first message of a connection.
    Hello {
        /// [`crate::VERSION`].
        protocol: u32,
        /// The name of this worker process, new at each start.
        worker: String,
        /// The version of the program.
        version: String,
        /// How many leases it takes at once.
        slots: u32,
        /// The leases that it still holds, from before the connection broke.
        holds: Vec<u64>,
    },
    /// Asks to hold these leases for longer.
    Renew {
        /// Their epochs.
        epochs: Vec<u64>,
    },
    /// Something about a lease.
    Frame {
        /// The lease.
        epoch: u64,
        /// The frame's number under the lease, from 1 without gaps.
        seq: u64,
        /// What it says.
        body: Body,
    },
    /// What a component is.
    Described {
        /// The request.
        request: u64,
        /// What it is, or why it cannot be used.
        description: Result<Description, Undescribed>,
    },
    /// It takes no more leases: it is stopping.
    Draining,
    /// It has stopped what these leases are about, and gives them back.
    HandBack {
        /// Their epochs.
        epochs: Vec<u64>,
    },
}

/// What a frame says about its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "body", rename_all = "kebab-case")]
pub enum Body {
    /// The guest calls out.
    Call {
        /// The call.
        call: Call,
    },
    /// Entries for the log.
    Log {
        /// The entries, in order.
        entries: Vec<LogEntry>,
    },
    /// The attempt is over. The last frame of a lease.
    Ended {
        /// How.
        outcome: Outcome,
        /// What it took.
        metering: Metering,
    },
}

/// What control says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromControl {
    /// The answer to `Hello`.
    Welcome {
        /// The leases of `holds` that still hold, each with the last frame that is known to be
        /// durable. The others are lost.
        resumed: Vec<(u64, u64)>,
    },
    /// Something to do.
    Lease(Box<Lease>),
    /// Answers a `Call`.
    Reply {
        /// The lease.
        epoch: u64,
        /// The number of the call's frame.
        seq: u64,
        /// The answer.
        reply: Reply,
    },
    /// The frames up to this one are stored.
    Stored {
        /// The lease.
        epoch: u64,
        /// The frame.
        seq: u64,
    },
    /// These leases hold for another [`crate::LEASE_TTL_SECONDS`].
    Renewed {
        /// Their epochs.
        epochs: Vec<u64>,
    },
    /// The lease is lost: stop, and say nothing more about it.
    Fenced {
        /// The lease.
        epoch: u64,
    },
    /// The run was cancelled: stop soon and say how it ended.
    Cancel {
        /// The lease.
        epoch: u64,
    },
    /// Asks what a component is.
    Describe {
        /// A number for the answer.
        request: u64,
        /// The component.
        component: Component,
    },
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// Who wrote it: `stage`, `stdout`, `stderr`, a tool as `tool:cargo`, or `host`.
    pub source: String,
    /// `debug`, `info`, `warn`, `error`; or `step` for the beginning, `progress` and `done`
    /// or `failed` for the course of a step.
    pub level: String,
    /// The text.
    pub message: String,
    /// More facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}

/// What an attempt took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metering {
    /// From the lease's arrival to the end, in microseconds.
    pub wall_us: u64,
    /// From the lease's arrival to the guest's first call of a host function, in
    /// microseconds; nothing when it called none.
    #[serde(default)]
    pub first_call_us: Option<u64>,
    /// Of the whole, from the component's instantiation to its return.
    pub call_us: u64,
    /// The peak of the guest's linear memory, in bytes.
    pub memory_peak_bytes: u64,
    /// How many imports were forwarded.
    pub calls: u64,
    /// User and system time of tools, in milliseconds.
    pub tool_cpu_ms: u64,
    /// The largest process of a tool, in bytes.
    pub tool_memory_peak_bytes: u64,
    /// Log text, in bytes.
    pub log_bytes: u64,
}

/// What a component is: by its bytes, and by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// `build`, `test` or `deploy`, by its exports.
    pub kind: String,
    /// All imports, by their full names.
    pub imports: Vec<String>,
    /// What `describe` returned.
    pub text: String,
}

/// Why a component is not described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undescribed {
    /// Why.
    pub reason: String,
    /// Whether it is the worker's trouble and not the component's: another look may end
    /// otherwise.
    pub passing: bool,
}

impl Undescribed {
    /// A trouble of the worker.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passing: true }
    }
}

impl From<String> for Undescribed {
    /// A verdict on the component.
    fn from(reason: String) -> Self {
        Self { reason, passing: false }
    }
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
#[error("this is not a message of protocol {}", crate::VERSION)]
pub struct NotAMessage(#[source] rmp_serde::decode::Error);

/// Writes a message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(message).expect("messages hold only text, numbers and lists, which always encode")
}

/// Reads a message.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotAMessage> {
    rmp_serde::from_slice(bytes).map_err(NotAMessage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Failure, Fault, Unhappy};
    use proptest::prelude::*;

    fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
        assert_eq!(decode::<T>(&encode(message)).unwrap(), *message);
    }

    #[test]
    fn messages_survive_the_way() {
        there_and_back(&FromWorker::Hello {
            protocol: 1,
            worker: "w".into(),
            version: "0".into(),
            slots: 4,
            holds: vec![1, u64::MAX],
        });
        for unhappy in [
            None,
            Some(Unhappy::Cancelled),
            Some(Unhappy::Failed(Failure { details: vec![("a".into(), "b".into())], ..Failure::new("c", "m") })),
            Some(Unhappy::Errored(Fault::Trap { message: "x".into(), backtrace: vec!["f".into()] })),
            Some(Unhappy::Errored(Fault::WorkerLost { times: 2 })),
        ] {
            let body = Body::Ended { outcome: Outcome { unhappy }, metering: Metering::default() };
            there_and_back(&FromWorker::Frame { epoch: 7, seq: 1, body });
        }
        there_and_back(&FromWorker::HandBack { epochs: vec![3] });
        there_and_back(&FromWorker::Described { request: 1, description: Err("no".to_owned().into()) });
        there_and_back(&FromControl::Reply { epoch: 1, seq: 2, reply: Reply::NoRelease });
        there_and_back(&FromControl::Welcome { resumed: vec![(1, 2)] });
        let call =
            Call::Change { action: "create".into(), object: "app".into(), before: None, after: Some("x".into()) };
        there_and_back(&FromWorker::Frame { epoch: 7, seq: 1, body: Body::Call { call } });
    }

    proptest! {
        /// Hostile bytes are refused, never a panic.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ignored = decode::<FromWorker>(&bytes).is_ok();
            let _ignored = decode::<FromControl>(&bytes).is_ok();
        }
    }
}
