use super::*;
use slipway_protocol::{Call, Reply};

fn call() -> Body {
    Body::Call { call: Call::SetOutput { name: "a".into(), value: "b".into() } }
}

#[tokio::test]
async fn a_call_is_acted_upon_once_however_often_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let Taken::Act(context, acted, _journalled) = worker.frame(epoch, 1, call()) else { panic!("it is new") };
    assert!(matches!(worker.frame(epoch, 1, call()), Taken::Done), "it is being answered");
    server.scheduler.reply(&context, &acted, Reply::Done, Vec::new(), |_| Ok(()));
    // Whether the journal has it by now or not, the answer is the one that was given.
    match worker.frame(epoch, 1, call()) {
        Taken::Answered(reply) => assert_eq!(reply, Reply::Done),
        Taken::Before { .. } => {
            let (_, reply) = server.store.journalled(context.run.as_str(), "build", epoch, 1).await.unwrap().unwrap();
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
    assert!(server.scheduler.again(epoch, 1).is_some());
    assert!(server.scheduler.again(epoch, 1).is_none(), "it is being answered");
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
    assert!(taken <= limit && taken > limit - (1 << 20), "{taken}");
    assert!(!server.scheduler.is_held(epoch));
}

#[tokio::test]
async fn a_log_without_entries_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    for seq in 1..=3 {
        assert!(matches!(worker.frame(epoch, seq, Body::Log { entries: Vec::new() }), Taken::Done));
    }
    assert!(matches!(worker.frame(epoch, 4, log("one")), Taken::Done));
    worker.stored(4).await;
    let page = server.store.log(run.as_str(), None, 0, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
}
