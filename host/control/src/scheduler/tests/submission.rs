use super::*;
use crate::scheduler::{OPEN_RUNS_MAX, Refused};

#[tokio::test]
async fn the_same_request_under_a_key_gives_the_same_run_whatever_became_of_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let keyed = || RunRequest { idempotency_key: Some("k".into()), ..request() };
    let run = server.scheduler.accept(accepted(ONE, keyed())).await.unwrap();
    // The repository is nowhere, so anything that asked it would be refused.
    assert_eq!(server.scheduler.submit(keyed()).await.unwrap(), run);
    let other = RunRequest { reference: "v2".into(), ..keyed() };
    assert!(matches!(server.scheduler.submit(other).await, Err(Refused::KeyUsed)));
    let another = RunRequest { idempotency_key: Some("other".into()), ..request() };
    assert!(matches!(server.scheduler.submit(another).await, Err(Refused::Git(_))));
}

#[tokio::test]
async fn two_requests_under_one_key_at_once_make_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let keyed = || accepted(ONE, RunRequest { idempotency_key: Some("k".into()), ..request() });
    let (one, two) = tokio::join!(server.scheduler.accept(keyed()), server.scheduler.accept(keyed()));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(server.scheduler.load().0, 1);
}

#[tokio::test]
async fn more_open_runs_than_there_may_be_are_refused_but_what_was_accepted_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let keyed = || RunRequest { idempotency_key: Some("k".into()), ..request() };
    let run = server.scheduler.accept(accepted(ONE, keyed())).await.unwrap();
    {
        let mut inner = server.scheduler.lock();
        while inner.runs.len() < OPEN_RUNS_MAX {
            let active = accepted(ONE, request()).active;
            inner.runs.insert(active.id.clone(), active);
        }
    }
    assert!(matches!(server.scheduler.submit(request()).await, Err(Refused::Full)));
    assert_eq!(server.scheduler.submit(keyed()).await.unwrap(), run);
    server.scheduler.cancel(&run, "me").unwrap().durable().await.unwrap();
    // One has ended: now it is the repository that is asked, which is nowhere.
    assert!(matches!(server.scheduler.submit(request()).await, Err(Refused::Git(_))));
}
