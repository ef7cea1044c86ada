//! From when a stage's time counts, and what it reads of what it has left itself.

use super::*;
use crate::tools::launcher::Launcher;
use slipway_protocol::lease::{Component, Limits};
use tokio::runtime::Handle;

fn artifact(name: &str, digit: char) -> Artifact {
    let digest = format!("sha256:{}", digit.to_string().repeat(64));
    Artifact { name: name.into(), digest, size: 1, media_type: "text/plain".into() }
}

fn input(stage: &str, artifact: Artifact) -> Input {
    Input { stage: stage.into(), artifacts: vec![artifact], outputs: [("a".into(), "1".into())].into() }
}

/// A session of stage `deploy`, which needs `build` and has itself left something before.
fn session(folder: &std::path::Path) -> Arc<Session> {
    let lease = Lease {
        epoch: 1,
        key: String::new(),
        run: "01J00000000000000000000000".into(),
        pipeline: "shop".into(),
        stage: "deploy".into(),
        kind: "deploy".into(),
        phase: "rollback".into(),
        attempt: 1,
        revision: "0".repeat(40),
        reference: "refs/tags/v1.0.0".into(),
        version: None,
        environment: None,
        config: "{}".into(),
        parameters: BTreeMap::new(),
        component: Component { name: "app".into(), digest: String::new() },
        limits: Limits { wall_ms: 60_000, memory_bytes: 0, log_bytes: 0 },
        inputs: vec![input("build", artifact("app", '1')), input("deploy", artifact("note", '2'))],
        began_at_us: 0,
    };
    let (wire, _unheard) = tokio::sync::mpsc::unbounded_channel();
    let outbox = Arc::new(Outbox::new(1, wire));
    let log = Log::new(Arc::clone(&outbox), 0, Handle::current());
    let transfer = Transfer::new("http://127.0.0.1:9", "", folder.join("received")).unwrap();
    let workspace = Workspace::new(folder, transfer.clone(), &lease);
    let tools = Tools::new(folder.to_owned(), Launcher::none());
    Session::new(lease, Kind::Deploy, outbox, log, transfer, workspace, tools)
}

#[tokio::test]
async fn the_time_that_is_left_counts_from_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let pause = Duration::from_millis(20);
    tokio::time::sleep(pause).await;
    assert_eq!(session.remaining(), session.limit(), "the component is still being compiled");
    session.call_begins();
    tokio::time::sleep(pause).await;
    assert!(session.remaining() <= session.limit() - pause, "{:?}", session.remaining());
}

#[tokio::test]
async fn what_a_stage_leaves_is_among_what_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(folder.path());
    let outputs = |stage: &str| session.input(stage, |input| input.outputs.clone());
    let may_read = |digit| session.may_read(&Digest::new(artifact("", digit).digest).unwrap());
    assert_eq!(outputs("deploy").unwrap()["a"], "1");
    assert!(outputs("other").is_none());
    session.set("b".into(), "2".into());
    assert_eq!(outputs("deploy").unwrap()["b"], "2");
    assert!(!outputs("build").unwrap().contains_key("b"));
    assert!(may_read('1') && may_read('2') && !may_read('3'));
    for _ in 0..2 {
        session.stored(&artifact("more", '3'));
    }
    assert!(may_read('3'));
    assert_eq!(session.input("deploy", |input| input.artifacts.len()), Some(2));
}
