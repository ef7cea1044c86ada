use super::*;
use crate::tools::launcher::Launcher;
use slipway_protocol::FromWorker;
use slipway_protocol::lease::{Artifact, Component, Input, Limits};
use slipway_protocol::message::Body;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

fn digest(number: u8) -> Digest {
    Digest::new(format!("sha256:{number:064}")).unwrap()
}

fn lease() -> Lease {
    let artifact =
        Artifact { name: "a".into(), digest: digest(1).to_string(), size: 1, media_type: "application/wasm".into() };
    Lease {
        epoch: 7,
        key: "key".into(),
        run: "0".repeat(26),
        pipeline: "shop".into(),
        stage: "test".into(),
        kind: "test".into(),
        phase: "test".into(),
        attempt: 1,
        revision: "0".repeat(40),
        reference: "refs/tags/v1".into(),
        version: None,
        environment: None,
        config: "{}".into(),
        parameters: Default::default(),
        component: Component { name: "p".into(), digest: digest(0).to_string() },
        limits: Limits { wall_ms: 60_000, memory_bytes: 1 << 20, log_bytes: 1 << 20 },
        inputs: vec![Input { stage: "build".into(), artifacts: vec![artifact], outputs: Default::default() }],
        began_at_us: 0,
    }
}

struct Bench {
    session: Arc<Session>,
    outbox: Arc<Outbox>,
    said: mpsc::UnboundedReceiver<FromWorker>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (wire, said) = mpsc::unbounded_channel();
        let outbox = Arc::new(Outbox::new(7, wire));
        let log = Log::new(Arc::clone(&outbox), 1 << 20, Handle::current());
        let transfer = Transfer::new("http://127.0.0.1:9", "", folder.path().join("received")).unwrap();
        let workspace = Workspace::new(folder.path(), transfer.clone(), &lease());
        let tools = Tools::new(folder.path().to_owned(), Launcher::none());
        let session = Session::new(lease(), Kind::Test, Arc::clone(&outbox), log, transfer, workspace, tools);
        Self { session, outbox, said, _folder: folder }
    }

    /// The next frame.
    async fn frame(&mut self) -> (u64, Body) {
        match self.said.recv().await {
            Some(FromWorker::Frame { seq, body, .. }) => (seq, body),
            other => panic!("{other:?}"),
        }
    }
}

fn call() -> Call {
    Call::SetOutput { name: "a".into(), value: "b".into() }
}

#[tokio::test]
async fn what_was_logged_is_said_before_the_call_that_follows() {
    let mut bench = Bench::new();
    bench.session.log.write("stage", "info", "before".into(), Vec::new());
    let session = Arc::clone(&bench.session);
    let calling = tokio::spawn(async move { session.numbered_call(call()).await });
    let (first, second) = (bench.frame().await, bench.frame().await);
    assert!(matches!(first, (1, Body::Log { .. })), "{first:?}");
    assert!(matches!(second, (2, Body::Call { .. })), "{second:?}");
    bench.outbox.reply(2, Reply::Done);
    assert_eq!(calling.await.unwrap(), Ok((2, Reply::Done)));
    assert_eq!(bench.session.metering().calls, 1);
    assert!(bench.session.metering().log_bytes > 0);
}

#[tokio::test]
async fn a_call_under_a_lost_lease_ends() {
    let mut bench = Bench::new();
    let session = Arc::clone(&bench.session);
    let calling = tokio::spawn(async move { session.call(call()).await });
    bench.frame().await;
    assert!(!bench.session.is_cancelled() && !bench.session.is_lost());
    bench.outbox.fence();
    assert_eq!(calling.await.unwrap(), Err(Fenced));
    assert!(bench.session.is_cancelled() && bench.session.is_lost());
    assert_eq!(bench.session.call(call()).await, Err(Fenced));
}

#[tokio::test]
async fn a_cancelled_stage_still_has_its_lease() {
    let bench = Bench::new();
    bench.outbox.cancel();
    assert!(bench.session.is_cancelled() && !bench.session.is_lost());
}

#[tokio::test]
async fn a_guest_reads_its_inputs_and_its_own_artifacts() {
    let bench = Bench::new();
    assert!(bench.session.may_read(&digest(1)), "an input");
    assert!(!bench.session.may_read(&digest(2)));
    let (name, media_type) = ("b".to_owned(), "text/plain".to_owned());
    bench.session.stored(&Artifact { name, digest: digest(2).to_string(), size: 1, media_type });
    assert!(bench.session.may_read(&digest(2)));
}

#[tokio::test]
async fn only_the_first_call_of_the_host_is_noted() {
    let bench = Bench::new();
    assert_eq!(bench.session.metering().first_call_us, None);
    bench.session.called();
    let first = bench.session.metering().first_call_us;
    bench.session.called();
    assert!(first.is_some() && bench.session.metering().first_call_us == first);
    let steps = [bench.session.next_step(), bench.session.next_step()];
    assert_eq!(steps, [1, 2]);
    assert!(bench.session.remaining() <= Duration::from_secs(60));
}
