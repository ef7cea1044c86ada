use super::*;
use crate::store::rows::{EventRecord, PipelineRow};
use std::path::Path;

fn pipeline(repository: &str) -> Write {
    Write::Pipeline(PipelineRow { name: "p".into(), repository: repository.into(), created_at: 1 })
}

/// An event of a run that there is not: the database refuses it.
fn bad() -> Write {
    Write::Event { run: "nobody".into(), seq: 1, at: 1, record: EventRecord::Accepted }
}

fn definition(digest: &str, bytes: usize) -> Write {
    Write::Definition { digest: digest.into(), text: "x".repeat(bytes), facts: "{}".into() }
}

fn submission(id: &str, hash: &str) -> Submission {
    let run = RunRow { idempotency_key: Some("key".into()), request_hash: Some(hash.into()), ..RunRow::example(id) };
    Submission { run, rest: vec![definition("d", 1)] }
}

#[tokio::test]
async fn what_is_queued_is_committed_in_its_order_and_is_durable_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let mut tickets: Vec<Ticket> =
        (0..2 * GROUP_MAX + 1).map(|number| store.commit(vec![pipeline(&number.to_string())])).collect();
    tickets.pop().unwrap().durable().await.unwrap();
    let row = store.pipeline("p").await.unwrap().unwrap();
    assert_eq!(row.repository, (2 * GROUP_MAX).to_string());
    for mut ticket in tickets {
        assert!(matches!(ticket.0.try_recv(), Ok(Ok(()))), "each before it too");
    }
}

#[tokio::test]
async fn a_bad_job_is_refused_and_the_others_of_its_group_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    // Queued before the writer, which runs on this thread, sees the first of them.
    let (one, refused, two, three) = tokio::join!(
        store.try_commit(vec![pipeline("a")]),
        store.try_commit(vec![pipeline("spoilt"), bad()]),
        store.commit(vec![definition("e", 1)]).durable(),
        store.submit(submission("1", "hash")),
    );
    assert!(matches!(refused, Err(CommitError::Refused(_))), "{refused:?}");
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(three.unwrap(), Submitted::New);
    let row = store.pipeline("p").await.unwrap().unwrap();
    assert_eq!(row.repository, "a", "nothing is left of the bad one");
    store.try_commit(vec![pipeline("b")]).await.unwrap();
}

#[tokio::test]
async fn what_is_queued_behind_the_end_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let before = store.commit(vec![pipeline("before")]);
    let (before, (), behind) =
        tokio::join!(before.durable(), store.close_writer(), store.try_commit(vec![pipeline("behind")]));
    assert!(before.is_ok());
    assert!(matches!(behind, Err(CommitError::Closed)));
    assert!(matches!(store.commit(vec![pipeline("later")]).durable().await, Err(CommitError::Closed)));
    assert!(matches!(store.submit(submission("1", "hash")).await, Err(CommitError::Closed)));
    store.close_writer().await;
    assert_eq!(store.pipeline("p").await.unwrap().unwrap().repository, "before");
}

#[tokio::test]
async fn under_one_key_there_is_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store.try_commit(vec![pipeline("a")]).await.unwrap();
    let (first, same, other) = tokio::join!(
        store.submit(submission("1", "hash")),
        store.submit(submission("2", "hash")),
        store.submit(submission("3", "another")),
    );
    let id = submission("1", "").run.id;
    assert_eq!(first.unwrap(), Submitted::New);
    assert_eq!(same.unwrap(), Submitted::Before(id.clone()), "in the same group");
    assert_eq!(other.unwrap(), Submitted::KeyUsed);
    assert_eq!(store.submit(submission("4", "hash")).await.unwrap(), Submitted::Before(id.clone()));
    let elsewhere =
        Submission { run: RunRow { pipeline: "q".into(), ..submission("5", "hash").run }, ..submission("5", "hash") };
    let other = Write::Pipeline(PipelineRow { name: "q".into(), repository: "/q".into(), created_at: 1 });
    store.try_commit(vec![other]).await.unwrap();
    assert_eq!(store.submit(elsewhere).await.unwrap(), Submitted::New, "another pipeline has keys of its own");
    assert_eq!(store.open_runs().await.unwrap().len(), 2);
}

/// A store whose database cannot grow, as on a full disk.
async fn full(store: &Store, folder: &Path) -> (Store, SqliteConnection) {
    let options = SqliteConnectOptions::new().filename(folder.join("slipway.db")).foreign_keys(true);
    let mut connection = options.clone().connect().await.unwrap();
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut connection).await.unwrap().get(0);
    let options = options.pragma("max_page_count", pages.to_string());
    let queue = start(options.connect().await.unwrap(), options);
    (Store { queue, ..store.clone() }, connection)
}

#[tokio::test]
async fn a_full_disk_refuses_what_can_be_refused_and_keeps_what_was_decided_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store.try_commit(vec![pipeline("a"), definition("old", 256 << 10)]).await.unwrap();
    let (full, mut connection) = full(&store, folder.path()).await;
    let (small, large, submitted) = tokio::join!(
        full.try_commit(vec![pipeline("b")]),
        full.try_commit(vec![definition("new", 256 << 10)]),
        full.submit(Submission { rest: vec![definition("d", 256 << 10)], ..submission("1", "hash") }),
    );
    assert!(small.is_ok(), "there is room for that");
    assert!(matches!(large, Err(CommitError::DiskFull)));
    assert!(matches!(submitted, Err(CommitError::DiskFull)));
    assert_eq!(full.pipeline("p").await.unwrap().unwrap().repository, "b");
    assert!(full.open_runs().await.unwrap().is_empty() && full.definition("new").await.unwrap().is_none());

    let decided = full.commit(vec![definition("decided", 200 << 10)]);
    connection.execute(sqlx::raw_sql("DELETE FROM definition WHERE digest = 'old'")).await.unwrap();
    decided.durable().await.unwrap();
    assert!(full.definition("decided").await.unwrap().is_some());
}

#[tokio::test]
async fn what_can_be_refused_does_not_wait_behind_what_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    store.try_commit(vec![pipeline("a"), definition("old", 512 << 10)]).await.unwrap();
    let (full, mut connection) = full(&store, folder.path()).await;
    let mut decided = Vec::new();
    for number in 0..3 {
        decided.push(full.commit(vec![definition(&format!("decided{number}"), 100 << 10)]));
        // In the same group as the decided one, and behind it.
        for _again in 0..2 {
            let waited = std::time::Duration::from_secs(10);
            let refused = tokio::time::timeout(waited, full.try_commit(vec![pipeline("b")])).await.unwrap();
            assert!(matches!(refused, Err(CommitError::DiskFull)), "{refused:?}");
            let submitted = tokio::time::timeout(waited, full.submit(submission("1", "hash"))).await.unwrap();
            assert!(matches!(submitted, Err(CommitError::DiskFull)), "{submitted:?}");
        }
    }
    assert!(full.definition("decided0").await.unwrap().is_none());
    connection.execute(sqlx::raw_sql("DELETE FROM definition WHERE digest = 'old'")).await.unwrap();
    for decided in decided {
        decided.durable().await.unwrap();
    }
    full.try_commit(vec![pipeline("b")]).await.unwrap();
    assert_eq!(full.pipeline("p").await.unwrap().unwrap().repository, "b");
}
