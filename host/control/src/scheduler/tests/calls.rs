use super::*;
use slipway_protocol::{Call, Reply};

fn said() -> Call {
    Call::SetOutput { name: "a".into(), value: "b".into() }
}

fn call() -> Body {
    Body::Call { call: said() }
}

#[tokio::test]
async fn a_call_is_acted_upon_once_however_often_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let Taken::Act(context, _call, _journalled) = worker.frame(epoch, 1, call()) else { panic!("it is new") };
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Done), "it is being answered");
    server.scheduler.reply(*context, Reply::Done, Vec::new(), |_| {});
    // Whether the journal has it by now or not, the answer is the one that was given.
    match worker.frame(epoch, 1, call()) {
        Taken::Answered(reply) => assert_eq!(reply, Reply::Done),
        Taken::Before { .. } => {
            let (_, reply) = server.store.journalled(run.as_str(), "build", epoch, 1).await.unwrap().unwrap();
            assert!(reply.is_some());
        }
        Taken::Act(..) | Taken::Done | Taken::Fenced => panic!("it was answered"),
    }
    worker.stored(1).await;
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Before { .. }), "the journal has it");
}

#[tokio::test]
async fn after_a_restart_a_call_without_a_reply_is_acted_upon_by_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Act(..)));
    server.end().await;

    let server = Server::start(folder.path()).await;
    let worker = server.worker("w", 1, &[epoch]);
    assert_eq!(worker.resumed, [(epoch, 1)]);
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Before { .. }));
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Before { .. }));
    assert!(server.scheduler.again(epoch, 1, &said()).is_some());
    assert!(server.scheduler.again(epoch, 1, &said()).is_none(), "it is being answered");
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Done));
}

#[tokio::test]
async fn a_log_beyond_all_limits_costs_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let line = "x".repeat(64 << 10);
    let mut taken = 0;
    for seq in 1..=1_000 {
        match worker.frame(epoch, seq, log(&line)) {
            Taken::Done => taken += line.len() as u64,
            Taken::Fenced => break,
            Taken::Act(..) | Taken::Answered(_) | Taken::Before { .. } => panic!("it is a log"),
        }
    }
    let limit = 2 * super::super::dispatch::LOG_BYTES_MAX;
    assert!(taken <= limit + (1 << 20) && taken > limit - (1 << 20), "{taken}");
    assert!(!server.scheduler.is_held(epoch));
}

/// What no worker of ours says: each costs the lease, and the server goes on.
#[tokio::test]
async fn a_worker_that_does_not_keep_to_the_protocol_loses_the_lease_and_breaks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let empty = || Body::Log { entries: Vec::new() };
    let mut worker = server.worker("w", 1, &[]);
    for wrong in [vec![empty()], vec![call(), call()], vec![log("one"), empty()]] {
        let run = server.run(ONE).await;
        let epoch = worker.lease().epoch;
        let last = wrong.len() as u64;
        for (seq, body) in (1..).zip(wrong) {
            let taken = worker.frame(epoch, seq, body);
            assert_eq!(matches!(taken, Taken::Fenced), seq == last, "{seq} of {last}");
        }
        assert!(!server.scheduler.is_held(epoch));
        let again = worker.lease();
        assert_eq!((again.run.as_str(), again.attempt), (run.as_str(), 2));
        worker.pass(again.epoch, 1);
        assert_eq!(server.state(&run).await, "passed");
    }
}

#[tokio::test]
async fn a_frame_that_is_missing_costs_the_lease_instead_of_holding_the_stage_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    worker.frame(epoch, 1, log("one"));
    assert!(matches!(worker.frame(epoch, 3, log("three")), Taken::Fenced));
    assert_eq!(worker.lease().attempt, 2);
}

#[tokio::test]
async fn what_an_older_connection_of_a_worker_says_is_not_heard() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut old = server.worker("w", 1, &[]);
    let epoch = old.lease().epoch;
    let new = server.worker("w", 1, &[epoch]);
    assert!(matches!(old.frame(epoch, 1, call()), Taken::Done));
    assert!(matches!(new.frame(epoch, 1, call()), Taken::Act(..)), "it was not taken before");
}

#[tokio::test]
async fn a_worker_that_comes_back_is_told_what_is_durable_and_not_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    server.durable().await;
    // While another holds the database, nothing becomes durable.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("slipway.db"));
    let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert!(matches!(worker.frame(epoch, 1, log("one")), Taken::Done));
    let mut worker = server.worker("w", 1, &[epoch]);
    assert_eq!(worker.resumed, [(epoch, 0)]);
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(matches!(worker.frame(epoch, 1, log("one")), Taken::Done), "it is not taken twice");
    assert!(matches!(worker.frame(epoch, 2, log("two")), Taken::Done));
    worker.stored(2).await;
    assert_eq!(server.worker("w", 1, &[epoch]).resumed, [(epoch, 2)]);
}

#[tokio::test]
async fn calls_have_a_limit_in_number_and_size_which_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let value = "x".repeat(8 << 20);
    let mut taken = 0;
    for seq in 1..100 {
        let call = Call::SetOutput { name: "a".into(), value: value.clone() };
        match worker.frame(epoch, seq, Body::Call { call }) {
            Taken::Act(context, ..) => server.scheduler.reply(*context, Reply::Done, Vec::new(), |_| {}),
            Taken::Fenced => break,
            Taken::Done | Taken::Answered(_) | Taken::Before { .. } => panic!("it is new"),
        }
        taken += 1;
    }
    assert_eq!(taken, 7, "64 MiB of calls");
    assert_eq!(server.state(&run).await, "errored");
    let stages = server.store.stages(run.as_str()).await.unwrap();
    assert!(format!("{:?}", stages[0].detail).contains("64 MiB of calls"), "{stages:?}");
}
