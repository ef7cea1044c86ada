//! Threat T60: a worker that was taken over says whatever it likes, over a real connection. Nothing but its own
//! lease's legal steps comes of it.

use super::tests::{Bench, dial, hear, leased, say};
use super::*;
use crate::api::{Role, Tokens};
use crate::scheduler::tests::{ONE, passed};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use slipway_domain::RunId;
use slipway_protocol::http::{HttpBody, HttpHeader, HttpRequest};
use slipway_protocol::message::{Body, Description, LogEntry, Metering, Undescribed};
use slipway_protocol::outcome::{Failure, Outcome, Unhappy};
use slipway_protocol::{Call, FromWorker, VERSION};

/// Which lease a message is about.
#[derive(Debug, Clone, Copy)]
enum Of {
    Mine,
    Another,
    Nobody,
}

/// What is sent: what a message is made of once the epochs are known.
#[derive(Debug, Clone)]
enum Sent {
    Frame(Of, u64, Body),
    Renew(Of),
    HandBack(Of),
    Described(u64),
    Draining,
}

fn entry() -> LogEntry {
    LogEntry { at_us: 1, source: "host".into(), level: "info".into(), message: "forged".into(), fields: Vec::new() }
}

fn request() -> HttpRequest {
    let secret = HttpHeader::Secret { name: "a".into(), prefix: String::new(), secret: "mine".into() };
    let digest = format!("sha256:{:064}", 3);
    HttpRequest {
        method: "POST".into(),
        url: "http://127.0.0.1:1/".into(),
        headers: vec![secret],
        body: HttpBody::Artifact(digest),
        within_ms: 10,
    }
}

fn body() -> impl Strategy<Value = Body> {
    let digest = format!("sha256:{:064}", 3);
    let call = prop_oneof![
        Just(Call::SetOutput { name: "forged".into(), value: "x".into() }),
        Just(Call::PutArtifact { name: "forged".into(), media_type: "a/b".into(), digest: digest.clone() }),
        Just(Call::OpenSecret { name: "mine".into() }),
        Just(Call::ReadSecret { name: "mine".into() }),
        Just(Call::SendRequest { request: request() }),
        Just(Call::ConnectTool { start: 1, tool: "rust".into(), host: "a.test".into(), port: 443 }),
        Just(Call::Release { app: "shop".into(), digest }),
        Just(Call::Restore { app: "shop".into() }),
        Just(Call::Switch { release: "0".repeat(26) }),
    ];
    let failed = Unhappy::Failed(Failure::new("forged", "forged"));
    prop_oneof![
        4 => call.prop_map(|call| Body::Call { call }),
        2 => Just(Body::Log { entries: vec![entry(); 3] }),
        1 => Just(passed()),
        1 => Just(Body::Ended { outcome: Outcome { unhappy: Some(failed) }, metering: Metering::default() }),
        1 => Just(Body::Ended { outcome: Outcome { unhappy: Some(Unhappy::Cancelled) }, metering: Metering::default() }),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let of = || prop_oneof![Just(Of::Mine), Just(Of::Another), Just(Of::Another), Just(Of::Nobody)];
    // Earlier ones again, those that come next, and those that come much later.
    let seq = prop_oneof![0_u64..6, Just(1_000_000), Just(u64::MAX)];
    prop_oneof![
        8 => (of(), seq, body()).prop_map(|(of, seq, body)| Sent::Frame(of, seq, body)),
        1 => of().prop_map(Sent::Renew),
        1 => of().prop_map(Sent::HandBack),
        1 => (0_u64..5).prop_map(Sent::Described),
        1 => Just(Sent::Draining),
    ]
}

/// What is known of a run that is not the rogue's.
async fn facts(bench: &Bench, run: &RunId) -> String {
    bench.server.durable().await;
    let (store, run) = (&bench.server.store, run.as_str());
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        store.run(run).await.unwrap().unwrap().state,
        store.events(run, 0).await.unwrap(),
        store.attempts(run).await.unwrap(),
        store.log(run, None, 0, 1_000).await.unwrap().entries,
        store.artifacts(run).await.unwrap(),
        store.outputs(run).await.unwrap(),
    )
}

async fn attack(messages: Vec<Sent>) {
    let bench = Bench::new().await;
    let url = bench.listen().await;
    bench.server.store.try_commit(vec![Tokens::write("stolen", "remote", Role::Worker)]).await.unwrap();
    // An honest worker is busy, and another run has ended.
    let ended = bench.server.run(ONE).await;
    let mut honest = bench.server.worker("embedded/w", 1, &[]);
    let before = honest.lease();
    bench.broker.frame(&honest.speaker(), before.epoch, 1, passed());
    let under_way = bench.server.run(ONE).await;
    let other = honest.lease();
    let known = (facts(&bench, &ended).await, facts(&bench, &under_way).await);

    // The rogue says that it is the other, and that it holds what the other holds.
    let mut rogue = dial(&url, "stolen").await;
    let holds = vec![other.epoch, before.epoch, u64::MAX];
    let hello =
        FromWorker::Hello { protocol: VERSION, worker: "embedded/w".into(), version: "0".into(), slots: 1, holds };
    say(&mut rogue, &hello).await;
    assert_eq!(hear(&mut rogue).await, Some(FromControl::Welcome { resumed: Vec::new() }));
    bench.server.run(ONE).await;
    let mine = leased(&mut rogue).await;
    let epoch = |of| match of {
        Of::Mine => mine.epoch,
        Of::Another => other.epoch,
        Of::Nobody => mine.epoch + 99,
    };
    for message in messages {
        let message = match message {
            Sent::Frame(of, seq, body) => FromWorker::Frame { epoch: epoch(of), seq, body },
            Sent::Renew(of) => FromWorker::Renew { epochs: vec![epoch(of)] },
            Sent::HandBack(of) => FromWorker::HandBack { epochs: vec![epoch(of)] },
            Sent::Described(request) => FromWorker::Described {
                request,
                description: Err(Undescribed { reason: "forged".into(), passing: false }),
            },
            Sent::Draining => FromWorker::Draining,
        };
        say(&mut rogue, &message).await;
    }
    // A message whose answer tells that all before it were heard.
    say(&mut rogue, &FromWorker::Renew { epochs: vec![7] }).await;
    loop {
        match hear(&mut rogue).await {
            Some(FromControl::Fenced { epoch: 7 }) | None => break,
            Some(FromControl::Reply { reply, .. }) => {
                let shown = format!("{reply:?}");
                assert!(shown.contains("Refused") || shown.contains("Done"), "it was given {shown}");
            }
            Some(FromControl::Renewed { epochs }) => assert!(!epochs.contains(&other.epoch), "another's lease"),
            Some(_) => {}
        }
    }
    assert!(bench.server.scheduler.is_held(other.epoch), "the other's lease");
    assert_eq!((facts(&bench, &ended).await, facts(&bench, &under_way).await), known);
    bench.broker.frame(&honest.speaker(), other.epoch, 1, passed());
    bench.server.durable().await;
    let state = bench.server.store.run(under_way.as_str()).await.unwrap().unwrap().state;
    assert_eq!(state, "passed", "the honest worker goes on");
}

#[test]
fn a_worker_that_was_taken_over_gets_nothing_but_its_own_leases_steps() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let messages = proptest::collection::vec(sent(), 1..60);
    runner
        .run(&messages, |messages| {
            runtime.block_on(attack(messages));
            Ok(())
        })
        .unwrap();
}

/// The same by hand: what it is told about a component that nobody has asked it for is not believed.
#[tokio::test]
async fn what_nobody_asked_for_is_not_believed() {
    let bench = Bench::new().await;
    let url = bench.listen().await;
    bench.server.store.try_commit(vec![Tokens::write("stolen", "remote", Role::Worker)]).await.unwrap();
    let mut rogue = dial(&url, "stolen").await;
    let hello =
        FromWorker::Hello { protocol: VERSION, worker: "w".into(), version: "0".into(), slots: 1, holds: Vec::new() };
    say(&mut rogue, &hello).await;
    hear(&mut rogue).await;
    let forged = Description { kind: "deploy".into(), imports: Vec::new(), text: "{}".into() };
    for request in 0..5 {
        say(&mut rogue, &FromWorker::Described { request, description: Ok(forged.clone()) }).await;
    }
    say(&mut rogue, &FromWorker::Renew { epochs: vec![7] }).await;
    assert_eq!(hear(&mut rogue).await, Some(FromControl::Fenced { epoch: 7 }));
    bench.server.durable().await;
    assert_eq!(bench.server.store.plugin(&format!("sha256:{:064}", 9)).await.unwrap(), None);
}
