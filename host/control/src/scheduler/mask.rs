//! What a worker says is masked before it is stored or shown: logs, reports, outputs, the ends of
//! attempts, and the journal.

use super::Scheduler;
use crate::secrets::Masker;
use slipway_protocol::call::TestCase;
use slipway_protocol::message::{Body, LogEntry};
use slipway_protocol::outcome::{Fault, Unhappy};
use slipway_protocol::{Call, Reply};
use std::sync::Arc;

/// The largest answer of a server that the journal keeps, in bytes of its text. A larger one is asked
/// for again after a crash.
const ANSWER_BYTES_MAX: usize = 256 << 10;

impl Scheduler {
    /// A call as the journal has it.
    pub fn journal_text(&self, epoch: u64, call: &Call) -> String {
        text(&self.masker(epoch), call)
    }

    /// What masks the secrets of the pipeline that a lease is about. Masking itself takes time for each
    /// byte, and is done without the lock.
    pub(super) fn masker(&self, epoch: u64) -> Arc<Masker> {
        let inner = self.lock();
        let active = inner.leases.get(&epoch).and_then(|lease| inner.runs.get(&lease.run));
        active.map(|active| self.secrets.masker(&active.row.pipeline)).unwrap_or_default()
    }
}

/// A call as the journal has it. What is acted upon is the call itself.
pub(super) fn text(masker: &Masker, call: &Call) -> String {
    let mut text = serde_json::to_string(call).unwrap_or_default();
    masker.text(&mut text);
    text
}

/// A reply as the journal has it. What is not kept cannot be read again, so the call is acted upon again
/// when the reply is needed.
pub(super) fn reply_text(masker: &Masker, reply: &Reply) -> String {
    let mut text = serde_json::to_string(reply).unwrap_or_default();
    if matches!(reply, Reply::Response(_)) && text.len() > ANSWER_BYTES_MAX {
        return r#"{"reply":"not-kept"}"#.to_owned();
    }
    masker.text(&mut text);
    text
}

/// Masks all of a frame that is stored or shown as it is. What is only acted upon stays.
pub(super) fn body(masker: &Masker, body: Body) -> Body {
    if masker.is_empty() {
        return body;
    }
    match body {
        Body::Log { entries } => Body::Log { entries: entries.into_iter().map(|it| entry(masker, it)).collect() },
        Body::Ended { mut outcome, metering } => {
            if let Some(unhappy) = &mut outcome.unhappy {
                mask_unhappy(masker, unhappy);
            }
            Body::Ended { outcome, metering }
        }
        Body::Call { call } => Body::Call { call: mask_call(masker, call) },
    }
}

fn entry(masker: &Masker, mut entry: LogEntry) -> LogEntry {
    masker.text(&mut entry.message);
    masker.text(&mut entry.source);
    for (name, value) in &mut entry.fields {
        masker.text(name);
        masker.text(value);
    }
    entry
}

fn mask_unhappy(masker: &Masker, unhappy: &mut Unhappy) {
    match unhappy {
        Unhappy::Failed(failure) => {
            masker.text(&mut failure.code);
            masker.text(&mut failure.message);
            mask_pairs(masker, &mut failure.details);
        }
        Unhappy::Errored(fault) => match fault {
            Fault::Trap { message, backtrace } => {
                masker.text(message);
                backtrace.iter_mut().for_each(|line| masker.text(line));
            }
            Fault::Limit { limit: text } | Fault::Plugin { reason: text, .. } | Fault::Host { message: text } => {
                masker.text(text)
            }
            Fault::Deadline { .. } | Fault::WorkerLost { .. } => {}
        },
        Unhappy::Cancelled => {}
    }
}

fn mask_pairs(masker: &Masker, pairs: &mut [(String, String)]) {
    for (name, value) in pairs {
        masker.text(name);
        masker.text(value);
    }
}

fn mask_call(masker: &Masker, mut call: Call) -> Call {
    match &mut call {
        Call::SetOutput { name, value } => {
            masker.text(name);
            masker.text(value);
        }
        Call::PutArtifact { name, media_type, .. } => {
            masker.text(name);
            masker.text(media_type);
        }
        Call::TestCases { cases } => cases.iter_mut().for_each(|case| mask_case(masker, case)),
        Call::Change { action, object, before, after } => {
            masker.text(action);
            masker.text(object);
            before.iter_mut().chain(after).for_each(|text| masker.text(text));
        }
        // These are acted upon as they are; the journal masks what it writes of them.
        Call::StartTool { .. }
        | Call::ConnectTool { .. }
        | Call::ToolDisconnected { .. }
        | Call::ToolExited { .. }
        | Call::OpenSecret { .. }
        | Call::ReadSecret { .. }
        | Call::SendRequest { .. }
        | Call::CurrentRelease { .. }
        | Call::Release { .. }
        | Call::Health { .. }
        | Call::Switch { .. }
        | Call::Restore { .. }
        | Call::Address { .. } => {}
    }
    call
}

fn mask_case(masker: &Masker, case: &mut TestCase) {
    masker.text(&mut case.suite);
    masker.text(&mut case.name);
    case.message.iter_mut().for_each(|text| masker.text(text));
    mask_pairs(masker, &mut case.details);
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_protocol::http::{HttpBody, HttpRequest, HttpResponse};
    use slipway_protocol::message::{Metering, encode};
    use slipway_protocol::outcome::{Failure, Outcome};

    const SECRET: &str = "correct horse battery";

    fn masker() -> Masker {
        Masker::new([SECRET.as_bytes()])
    }

    fn holds(bytes: &[u8]) -> bool {
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    }

    #[test]
    fn whatever_is_stored_of_a_frame_is_masked() {
        let secret = || SECRET.to_owned();
        let pair = || vec![(secret(), secret())];
        let entry = LogEntry { at_us: 0, source: secret(), level: "info".into(), message: secret(), fields: pair() };
        let failure = Failure { code: secret(), message: secret(), retryable: false, details: pair() };
        let ended =
            |unhappy| Body::Ended { outcome: Outcome { unhappy: Some(unhappy) }, metering: Metering::default() };
        let case = TestCase {
            suite: secret(),
            name: secret(),
            outcome: "failed".into(),
            time_us: None,
            message: Some(secret()),
            details: pair(),
        };
        let call = |call| Body::Call { call };
        for said in [
            Body::Log { entries: vec![entry] },
            ended(Unhappy::Failed(failure)),
            ended(Unhappy::Errored(Fault::Trap { message: secret(), backtrace: vec![secret()] })),
            ended(Unhappy::Errored(Fault::Limit { limit: secret() })),
            ended(Unhappy::Errored(Fault::Host { message: secret() })),
            ended(Unhappy::Errored(Fault::Plugin { plugin: "p".into(), reason: secret() })),
            call(Call::SetOutput { name: secret(), value: secret() }),
            call(Call::PutArtifact { name: secret(), media_type: secret(), digest: "d".into() }),
            call(Call::TestCases { cases: vec![case] }),
            call(Call::Change { action: secret(), object: secret(), before: Some(secret()), after: Some(secret()) }),
        ] {
            assert!(holds(&encode(&said)));
            assert_eq!(body(&Masker::default(), said.clone()), said);
            let masked = body(&masker(), said);
            assert!(!holds(&encode(&masked)), "{masked:?}");
        }
    }

    #[test]
    fn the_journal_holds_no_secret_and_what_is_acted_upon_is_whole() {
        let request = HttpRequest {
            method: "POST".into(),
            url: format!("https://a.test/?{SECRET}"),
            headers: Vec::new(),
            body: HttpBody::Bytes(SECRET.into()),
            within_ms: 0,
        };
        let call = Call::SendRequest { request };
        assert!(!holds(text(&masker(), &call).as_bytes()));
        assert_eq!(mask_call(&masker(), call.clone()), call);
        let response = |size| {
            let body = SECRET.repeat(size).into_bytes();
            Reply::Response(HttpResponse { status: 200, headers: Vec::new(), body, url: String::new() })
        };
        let kept = reply_text(&Masker::default(), &response(1));
        assert_eq!(serde_json::from_str::<Reply>(&kept).unwrap(), response(1));
        assert!(serde_json::from_str::<Reply>(&reply_text(&masker(), &response(20_000))).is_err(), "too large to keep");
    }
}
