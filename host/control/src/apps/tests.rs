use super::*;
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex as StdMutex;

/// A small app host in memory: what is loaded, what has the traffic.
#[derive(Default)]
struct FakeHost {
    loaded: StdMutex<BTreeSet<String>>,
    live: StdMutex<BTreeMap<String, String>>,
    /// Releases that it cannot compile.
    broken: StdMutex<BTreeSet<String>>,
}

#[async_trait]
impl AppHost for FakeHost {
    async fn load(&self, release: &str, _app: &str, _version: &str, _bytes: bytes::Bytes) -> Result<(), HostError> {
        if self.broken.lock().unwrap().contains(release) {
            return Err(HostError::NotAnApp("broken".into()));
        }
        self.loaded.lock().unwrap().insert(release.to_owned());
        Ok(())
    }

    async fn health(&self, _release: &str, _path: &str, _within: Duration) -> Result<Health, HostError> {
        Ok(Health { healthy: true, status: 200, message: String::new(), time_us: 1 })
    }

    async fn switch(&self, app: &str, release: &str, keep: &[String], _trusted: bool) -> Result<(), HostError> {
        let mut loaded = self.loaded.lock().unwrap();
        if !loaded.contains(release) {
            return Err(HostError::NotHealthy);
        }
        loaded.retain(|known| known == release || keep.contains(known));
        self.live.lock().unwrap().insert(app.to_owned(), release.to_owned());
        Ok(())
    }

    async fn stop(&self, app: &str, _keep: &[String]) -> Result<(), HostError> {
        self.live.lock().unwrap().remove(app);
        Ok(())
    }
}

struct Bench {
    apps: Apps,
    host: Arc<FakeHost>,
    store: Store,
    digest: Digest,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let blobs = Blobs::local(&folder.path().join("blobs")).unwrap();
        let digest = blobs.put(bytes::Bytes::from_static(b"component")).await.unwrap().digest;
        let host = Arc::new(FakeHost::default());
        let apps = Apps::new(store.clone(), blobs, host.clone(), Addresses::at(([127, 0, 0, 1], 80).into()));
        Self { apps, host, store, digest, _folder: folder }
    }

    fn app() -> AppName {
        AppName::new("hello").unwrap()
    }

    /// A run, since releases refer to one.
    async fn run(&self, number: u32) -> RunId {
        let id = RunId::new(format!("{number:026}")).unwrap();
        let run = crate::store::rows::RunRow {
            id: id.to_string(),
            pipeline: "p".into(),
            repository: "/nowhere".into(),
            reference: "refs/tags/v1".into(),
            revision: "0".repeat(40),
            version: None,
            tier: "protected".into(),
            definition: "d".into(),
            triggered_by: "somebody".into(),
            parameters: Default::default(),
            idempotency_key: None,
            request_hash: None,
            state: "running".into(),
            culprit: None,
            created_at: 1,
            started_at: None,
            ended_at: None,
        };
        let pipeline =
            crate::store::rows::PipelineRow { name: "p".into(), repository: "/nowhere".into(), created_at: 1 };
        let definition = Write::Definition { digest: "d".into(), text: String::new(), facts: "{}".into() };
        let writes = vec![Write::Pipeline(pipeline), definition, Write::Run(run)];
        self.store.try_commit(writes).await.unwrap();
        id
    }

    async fn release(&self, number: u32) -> Release {
        let made = Made {
            app: Self::app(),
            run: self.run(number).await,
            pipeline: "p".into(),
            revision: Revision::new("0".repeat(40)).unwrap(),
            version: Some(format!("v{number}")),
            digest: self.digest.clone(),
        };
        self.apps.release(made, || true).await.unwrap()
    }

    async fn live_release(&self, number: u32) -> Release {
        let release = self.release(number).await;
        self.apps.switch(&release, || true).await.unwrap();
        release
    }

    fn served(&self) -> Option<String> {
        self.host.live.lock().unwrap().get("hello").cloned()
    }
}

#[tokio::test]
async fn a_switch_whose_lease_is_lost_while_it_waits_changes_nothing() {
    let bench = Bench::new().await;
    let live = bench.live_release(1).await;
    let candidate = bench.release(2).await;
    let refused = bench.apps.switch(&candidate, || false).await;
    assert!(matches!(refused, Err(ActError::Fenced)));
    let restored = bench.apps.restore(&Bench::app(), &candidate.run, || false).await;
    assert!(matches!(restored, Err(ActError::Fenced)));
    assert_eq!(bench.served().as_deref(), Some(live.id.as_str()));
    bench.apps.switch(&candidate, || true).await.unwrap();
    assert_eq!(bench.served().as_deref(), Some(candidate.id.as_str()));
}

#[tokio::test]
async fn a_rollback_goes_to_the_release_before() {
    let bench = Bench::new().await;
    let first = bench.live_release(1).await;
    bench.live_release(2).await;
    assert_eq!(bench.apps.roll_back(&Bench::app()).await.unwrap().id, first.id);
    assert_eq!(bench.served().as_deref(), Some(first.id.as_str()));
    assert!(matches!(bench.apps.roll_back(&Bench::app()).await, Err(ActError::Release(release::Error::NoPrevious))));
}

#[tokio::test]
async fn a_rollback_that_cannot_be_stored_is_taken_back() {
    let bench = Bench::new().await;
    bench.live_release(1).await;
    let second = bench.live_release(2).await;
    // Only the writer is closed: what is stored can still be read.
    bench.store.close_writer().await;
    assert!(matches!(bench.apps.roll_back(&Bench::app()).await, Err(ActError::Store(_))));
    assert_eq!(bench.served().as_deref(), Some(second.id.as_str()));
}

#[tokio::test]
async fn a_broken_previous_release_does_not_keep_the_live_one_down() {
    let bench = Bench::new().await;
    let first = bench.live_release(1).await;
    let second = bench.live_release(2).await;
    bench.host.live.lock().unwrap().clear();
    bench.host.broken.lock().unwrap().insert(first.id.to_string());
    assert!(bench.apps.bring_up().await.unwrap().is_empty());
    assert_eq!(bench.served().as_deref(), Some(second.id.as_str()));
    bench.host.broken.lock().unwrap().insert(second.id.to_string());
    let broken = bench.apps.bring_up().await.unwrap();
    assert!(matches!(&broken[..], [(app, ActError::NotAnApp(_))] if *app == Bench::app()));
}

#[tokio::test]
async fn the_same_run_and_component_make_one_release() {
    let bench = Bench::new().await;
    let release = bench.live_release(1).await;
    bench.live_release(2).await;
    bench.live_release(3).await;
    assert_eq!(bench.release(1).await.id, release.id, "also once it is retired");
    let found = bench.apps.find(&Bench::app(), &release.id).await.unwrap();
    assert_eq!(found.map(|found| found.id), Some(release.id.clone()));
    assert_eq!(bench.apps.find(&AppName::new("other").unwrap(), &release.id).await.unwrap(), None);
}
