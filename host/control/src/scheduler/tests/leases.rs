use super::*;
use crate::store::rows::{ArtifactRow, TestCaseRow};
use slipway_domain::run::Loss;
use slipway_protocol::call::TestCase;
use slipway_protocol::lease::{Artifact, Input};
use slipway_protocol::{Call, END_SECONDS_MAX, LEASE_TTL_SECONDS, PREPARE_SECONDS_MAX, RENEW_SECONDS, Reply};

const TTL: Duration = Duration::from_secs(LEASE_TTL_SECONDS);

#[tokio::test]
async fn the_key_of_a_lease_opens_that_lease_while_it_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let lease = worker.lease();
    let holder = server.scheduler.holder(lease.epoch, &lease.key).unwrap();
    assert_eq!((holder.repository.as_str(), holder.revision), ("/nowhere", lease.revision));
    assert_eq!(server.scheduler.holder(lease.epoch, "00"), None);
    assert_eq!(server.scheduler.holder(lease.epoch + 1, &lease.key), None);
    worker.pass(lease.epoch, 1);
    assert_eq!(server.scheduler.holder(lease.epoch, &lease.key), None, "it is over");
}

#[tokio::test]
async fn a_worker_does_not_speak_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut worker = server.worker("token/w", 1, &[]);
    let epoch = worker.lease().epoch;
    let other = server.worker("other/w", 0, &[epoch]);
    assert_eq!(other.resumed, []);
    assert!(matches!(other.frame(epoch, 1, log("x")), Taken::Fenced));
    assert_eq!(server.scheduler.renew("other/w", &[epoch]), (vec![], vec![epoch]));
    worker.pass(epoch, 1);
    assert_eq!(server.state(&run).await, "passed");
}

#[tokio::test]
async fn who_missed_a_cancel_hears_it_on_coming_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    server.scheduler.worker_disconnected("w", worker.connection);
    server.scheduler.cancel(&run, "me").unwrap().durable().await.unwrap();
    let mut worker = server.worker("w", 1, &[epoch]);
    assert_eq!(worker.told(), [FromControl::Cancel { epoch }]);
    server.end().await;

    let server = Server::start(folder.path()).await;
    let mut worker = server.worker("w", 1, &[epoch]);
    assert_eq!(worker.told(), [FromControl::Cancel { epoch }], "also after a restart of control");
}

#[tokio::test]
async fn a_change_that_has_begun_is_not_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run("name = \"p\"\n[stages.deploy]\nuses = \"deploy@1\"\n").await;
    let mut worker = server.worker("w", 1, &[]);
    let plan = worker.lease();
    worker.pass(plan.epoch, 1);
    let apply = worker.lease();
    assert_eq!(apply.phase, "apply");
    server.scheduler.cancel(&run, "me").unwrap().durable().await.unwrap();
    let mut worker = server.worker("w", 1, &[apply.epoch]);
    assert_eq!(worker.told(), []);
}

#[tokio::test]
async fn each_suspect_of_a_death_runs_alone_and_the_rest_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    for _ in 0..3 {
        server.run(ONE).await;
    }
    let mut worker = server.worker("first", 4, &[]);
    assert_eq!(worker.leases().len(), 3);
    server.scheduler.worker_gone("first", Loss::Death);
    let mut alone = server.worker("second", 4, &[]);
    let suspect = alone.lease();
    assert_eq!(suspect.attempt, 2);
    server.run(ONE).await;
    assert_eq!(alone.leases(), [], "nothing beside a suspect");
    let mut other = server.worker("third", 4, &[]);
    assert_eq!(other.lease().attempt, 2, "the next suspect");
    alone.pass(suspect.epoch, 1);
    let last = alone.lease();
    assert_eq!(last.attempt, 2);
    alone.pass(last.epoch, 1);
    assert_eq!(alone.lease().attempt, 1, "then those that wait");
}

#[tokio::test]
async fn a_suspect_keeps_a_worker_to_itself_for_a_minute_and_not_for_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    for _ in 0..2 {
        server.run(ONE).await;
    }
    let mut worker = server.worker("first", 4, &[]);
    assert_eq!(worker.leases().len(), 2);
    server.scheduler.worker_gone("first", Loss::Death);
    server.run(ONE).await;
    let mut worker = server.worker("only", 4, &[]);
    let mut held = vec![worker.lease().epoch];
    // First the other suspect, beside one that has lived through its minute, then who waits.
    for attempt in [2, 1] {
        for _ in 0..5 {
            server.pass_time(Duration::from_secs(10)).await;
            server.scheduler.renew("only", &held);
            assert_eq!(worker.leases(), [], "not yet");
        }
        server.pass_time(Duration::from_secs(10)).await;
        server.scheduler.renew("only", &held);
        let next = worker.lease();
        assert_eq!(next.attempt, attempt);
        held.push(next.epoch);
    }
}

#[tokio::test]
async fn a_worker_that_hands_back_gets_nothing_until_it_comes_anew() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 4, &[]);
    let epoch = worker.lease().epoch;
    server.scheduler.hand_back("w", &[epoch]);
    server.scheduler.expire();
    assert_eq!(worker.leases(), []);
    assert_eq!(server.worker("w", 4, &[]).lease().attempt, 2);
}

#[tokio::test]
async fn of_two_stages_that_a_death_befell_only_the_one_that_kills_again_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (poison, innocent) = (server.run(ONE).await, server.run(ONE).await);
    let mut worker = server.worker("first", 4, &[]);
    assert_eq!(worker.leases().len(), 2);
    server.scheduler.worker_gone("first", Loss::Death);
    let mut worker = server.worker("second", 4, &[]);
    assert_eq!(worker.lease().run, poison.as_str());
    server.scheduler.worker_gone("second", Loss::Death);
    let mut worker = server.worker("third", 4, &[]);
    let lease = worker.lease();
    assert_eq!(lease.run, innocent.as_str());
    worker.pass(lease.epoch, 1);
    assert_eq!(server.state(&poison).await, "errored");
    assert_eq!(server.state(&innocent).await, "passed");
}

#[tokio::test]
async fn uploads_have_a_limit_under_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let epoch = server.worker("w", 1, &[]).lease().epoch;
    let before = server.scheduler.upload_bytes_left(epoch);
    assert!(server.scheduler.uploaded(epoch, "a", 10));
    assert_eq!(server.scheduler.upload_bytes_left(epoch), before - 10);
    // Two at once, each of which began when there was room for it.
    assert!(server.scheduler.uploaded(epoch, "b", before - 20));
    assert!(!server.scheduler.uploaded(epoch, "c", before - 20));
    assert_eq!(server.scheduler.upload_bytes_left(epoch), 10);
    assert!(server.scheduler.uploaded(epoch, "d", 10));
    assert_eq!(server.scheduler.upload_bytes_left(epoch), 0);
    assert_eq!(server.scheduler.upload_bytes_left(epoch + 1), 0, "no such lease");
}

#[tokio::test]
async fn what_a_stopping_worker_hands_back_goes_to_another_at_once_and_is_no_suspect() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    server.run(ONE).await;
    let mut stopping = server.worker("stopping", 4, &[]);
    let held = stopping.leases();
    server.scheduler.worker_draining("stopping");
    let mut other = server.worker("other", 4, &[]);
    server.scheduler.hand_back("other", &[held[0].epoch]);
    assert!(server.scheduler.is_held(held[0].epoch), "only its holder hands a lease back");
    server.scheduler.hand_back("stopping", &[held[0].epoch, held[1].epoch]);
    let told: Vec<u64> = held.iter().map(|lease| lease.epoch).collect();
    let fenced: Vec<FromControl> = told.iter().map(|epoch| FromControl::Fenced { epoch: *epoch }).collect();
    assert_eq!(stopping.told(), fenced);
    let taken = other.leases();
    assert_eq!(taken.iter().map(|lease| lease.attempt).collect::<Vec<_>>(), [2, 2], "both at once");
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_goes_to_another_and_the_late_holder_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(ONE).await;
    let mut silent = server.worker("silent", 1, &[]);
    let late = silent.lease().epoch;
    let mut other = server.worker("other", 1, &[]);
    server.pass_time(TTL - Duration::from_secs(1)).await;
    assert_eq!((silent.told(), other.told()), (vec![], vec![]), "it still holds");
    server.pass_time(Duration::from_secs(1)).await;
    let lease = other.lease();
    assert_eq!(lease.attempt, 2);
    assert!(lease.epoch > late);
    assert_eq!(silent.told(), [FromControl::Fenced { epoch: late }]);
    assert!(matches!(silent.frame(late, 1, log("late")), Taken::Fenced));
    assert_eq!(server.scheduler.renew("silent", &[late]), (vec![], vec![late]));
    // Of an end it is never known whether it was taken; this one was not.
    assert!(matches!(silent.frame(late, 1, passed()), Taken::Done));
    assert_eq!(server.state(&run).await, "running");
    other.pass(lease.epoch, 1);
    assert_eq!(server.state(&run).await, "passed");
}

#[tokio::test]
async fn a_lease_that_is_renewed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.run(ONE).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let mut other = server.worker("other", 1, &[]);
    for _ in 0..10 {
        server.pass_time(Duration::from_secs(RENEW_SECONDS)).await;
        assert_eq!(server.scheduler.renew("w", &[epoch]), (vec![epoch], vec![]));
    }
    // A worker that comes back with it renews it too.
    server.scheduler.worker_disconnected("w", worker.connection);
    server.pass_time(TTL - Duration::from_secs(1)).await;
    let worker = server.worker("w", 1, &[epoch]);
    assert_eq!(worker.resumed, [(epoch, 0)]);
    server.pass_time(TTL - Duration::from_secs(1)).await;
    assert!(server.scheduler.is_held(epoch));
    assert_eq!(other.told(), []);
}

#[tokio::test]
async fn a_lease_is_renewed_until_its_stage_is_over_and_not_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(&format!("{ONE}timeout_seconds = 60\n")).await;
    let mut worker = server.worker("w", 1, &[]);
    let epoch = worker.lease().epoch;
    let limits = Duration::from_secs(PREPARE_SECONDS_MAX + 60 + END_SECONDS_MAX);
    for _ in 0..limits.as_secs() / 10 - 1 {
        server.pass_time(Duration::from_secs(10)).await;
        assert_eq!(server.scheduler.renew("w", &[epoch]), (vec![epoch], vec![]));
    }
    server.pass_time(Duration::from_secs(10)).await;
    assert_eq!(server.scheduler.renew("w", &[epoch]), (vec![], vec![epoch]));
    // Its worker's death is counted, as it is no use to it.
    assert_eq!(worker.lease().attempt, 2);
    assert_eq!(server.state(&run).await, "running");
}

#[tokio::test]
async fn a_worker_that_drains_ends_what_it_holds_and_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (first, second) = (server.run(ONE).await, server.run(ONE).await);
    let mut worker = server.worker("w", 1, &[]);
    let lease = worker.lease();
    server.scheduler.worker_draining("w");
    worker.pass(lease.epoch, 1);
    assert_eq!(server.state(&first).await, "passed");
    server.scheduler.expire();
    assert_eq!(worker.leases(), []);
    let mut other = server.worker("other", 1, &[]);
    assert_eq!(other.lease().run, second.as_str());
}

#[tokio::test]
async fn what_a_lost_attempt_left_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let run = server.run(THREE).await.to_string();
    let mut worker = server.worker("lost", 1, &[]);
    let lost = worker.lease().epoch;
    let call = Call::SetOutput { name: "o".into(), value: "v".into() };
    let Taken::Act(context, _call, _journalled) = worker.frame(lost, 1, Body::Call { call }) else {
        panic!("it is new")
    };
    let (stage, digest) = ("build".to_owned(), format!("sha256:{:064}", 7));
    let artifact = Artifact { name: "a".into(), digest: digest.clone(), size: 1, media_type: "a/b".into() };
    let row = ArtifactRow {
        run: run.clone(),
        stage: stage.clone(),
        name: "a".into(),
        epoch: lost,
        digest: digest.clone(),
        size: 1,
        media_type: "a/b".into(),
        created_at: 1,
    };
    let case = TestCase {
        suite: "s".into(),
        name: "n".into(),
        outcome: "passed".into(),
        time_us: None,
        message: None,
        details: Vec::new(),
    };
    let left = vec![
        Write::Artifact(row),
        Write::TestCase(TestCaseRow { run: run.clone(), stage: stage.clone(), epoch: lost, seq: 1, case }),
        Write::Output { run: run.clone(), stage, name: "o".into(), epoch: lost, value: "v".into() },
    ];
    server.scheduler.reply(*context, Reply::Done, left, |left| {
        left.artifacts.push((lost, artifact));
        left.outputs.insert("o".into(), (lost, "v".into()));
        left.reports.insert(lost, crate::scheduler::Reports { count: 1, bytes: 1 << 20 });
        assert_eq!(left.reported().count, 1);
    });
    worker.stored(1).await;
    assert!(server.scheduler.may_read(lost, &digest), "its own");
    assert_eq!(server.store.artifacts(&run).await.unwrap().len(), 1);

    server.scheduler.worker_gone("lost", Loss::Innocent);
    let mut worker = server.worker("next", 1, &[]);
    let next = worker.lease();
    assert_eq!(next.attempt, 2);
    assert!(!server.scheduler.may_read(next.epoch, &digest));
    let call = Call::SetOutput { name: "o".into(), value: "v".into() };
    let Taken::Act(context, ..) = worker.frame(next.epoch, 1, Body::Call { call }) else { panic!("it is new") };
    assert_eq!(context.left.reported(), crate::scheduler::Reports::default(), "the limits are whole again");
    server.scheduler.reply(*context, Reply::Done, Vec::new(), |_| {});
    server.durable().await;
    assert_eq!(server.store.artifacts(&run).await.unwrap(), []);
    assert_eq!(server.store.outputs_with_epochs(&run).await.unwrap(), []);
    assert_eq!(server.store.test_cases(&run).await.unwrap(), []);
    worker.pass(next.epoch, 2);
    let nothing = Input { stage: "build".into(), artifacts: Vec::new(), outputs: Default::default() };
    assert_eq!(worker.lease().inputs, [nothing]);
}
