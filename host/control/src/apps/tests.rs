use super::*;
use crate::store::rows::{PipelineRow, RunRow};
use fake::{COMPONENT, FakeHost};

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
        let digest = blobs.put(bytes::Bytes::from_static(COMPONENT)).await.unwrap().digest;
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
        let run = RunRow { state: "running".into(), ..RunRow::example(id.as_str()) };
        let pipeline = PipelineRow { name: "p".into(), repository: "/nowhere".into(), created_at: 1 };
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
        self.apps.release(made, &|| true).await.unwrap()
    }

    async fn live_release(&self, number: u32) -> Release {
        let release = self.release(number).await;
        self.check(&release).await;
        self.apps.switch(&release, &release.run, &|| true).await.unwrap();
        release
    }

    /// The host sees that a release is healthy.
    async fn check(&self, release: &Release) {
        assert!(self.apps.health(release, "/health", Duration::ZERO, &|| true).await.unwrap().healthy);
    }

    fn served(&self) -> Option<String> {
        self.host.live("hello")
    }
}

#[tokio::test]
async fn a_switch_whose_lease_is_lost_while_it_waits_changes_nothing() {
    let bench = Bench::new().await;
    let live = bench.live_release(1).await;
    let candidate = bench.release(2).await;
    let refused = bench.apps.switch(&candidate, &candidate.run, &|| false).await;
    assert!(matches!(refused, Err(ActError::Fenced)));
    let restored = bench.apps.restore(&Bench::app(), &candidate.run, &|| false).await;
    assert!(matches!(restored, Err(ActError::Fenced)));
    assert_eq!(bench.served().as_deref(), Some(live.id.as_str()));
    assert!(matches!(bench.apps.switch(&candidate, &candidate.run, &|| true).await, Err(ActError::NotHealthy)));
    bench.check(&candidate).await;
    bench.apps.switch(&candidate, &candidate.run, &|| true).await.unwrap();
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
    bench.host.restart();
    bench.host.breaks(&first.id);
    assert!(bench.apps.bring_up().await.unwrap().is_empty());
    assert_eq!(bench.served().as_deref(), Some(second.id.as_str()));
    bench.host.restart();
    bench.host.breaks(&second.id);
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

#[tokio::test]
async fn a_deploy_lives_through_a_restart_of_the_app_host() {
    let bench = Bench::new().await;
    let first = bench.live_release(1).await;
    let candidate = bench.release(2).await;
    // Not there, then there and empty: the candidate is loaded again, and asked.
    bench.host.restarts_slowly(3);
    bench.check(&candidate).await;
    bench.host.restarts_slowly(2);
    // Only a health check that the host itself has seen counts.
    assert!(matches!(bench.apps.switch(&candidate, &candidate.run, &|| true).await, Err(ActError::NotHealthy)));
    assert_eq!(bench.served(), None, "it has just been started");
    bench.check(&candidate).await;
    bench.apps.switch(&candidate, &candidate.run, &|| true).await.unwrap();
    assert_eq!(bench.served().as_deref(), Some(candidate.id.as_str()));
    bench.host.restarts_slowly(2);
    let restored = bench.apps.restore(&Bench::app(), &candidate.run, &|| true).await.unwrap();
    assert_eq!(restored.map(|release| release.id), Some(first.id.clone()));
    assert_eq!(bench.served().as_deref(), Some(first.id.as_str()));
}

#[tokio::test]
async fn an_app_host_is_not_waited_for_without_end_nor_without_the_lease() {
    let bench = Bench::new().await;
    let candidate = bench.release(1).await;
    bench.host.restarts_slowly(u32::MAX);
    // From here on only time passes.
    tokio::time::pause();
    let asked = bench.apps.health(&candidate, "/health", Duration::ZERO, &|| true).await;
    assert!(matches!(asked, Err(ActError::Host { source: HostError::Absent })), "{asked:?}");
    let asked = bench.apps.health(&candidate, "/health", Duration::ZERO, &|| false).await;
    assert!(matches!(asked, Err(ActError::Fenced)), "{asked:?}");
}

#[tokio::test]
async fn what_a_run_made_and_did_not_use_is_rejected_when_it_ends() {
    let bench = Bench::new().await;
    let live = bench.live_release(1).await;
    let unused = bench.release(2).await;
    let ended = |release: &Release| Write::CandidatesRejected { run: release.run.to_string(), at: 7 };
    bench.store.try_commit(vec![ended(&live), ended(&unused)]).await.unwrap();
    let state =
        async |release: &Release| bench.store.release(release.id.as_str()).await.unwrap().unwrap().release.state;
    assert_eq!(state(&live).await, ReleaseState::Live);
    assert_eq!(state(&unused).await, ReleaseState::Rejected);
}

/// The fake, as the suite wants it.
impl contract::Bench for FakeHost {
    fn host(&self) -> &dyn AppHost {
        self
    }

    fn component(&self) -> bytes::Bytes {
        bytes::Bytes::from_static(COMPONENT)
    }

    async fn is_served(&self, app: &str) -> bool {
        self.live(app).is_some()
    }
}

#[tokio::test]
async fn the_fake_does_what_every_app_host_does() {
    contract::keep(&FakeHost::default()).await;
}

#[tokio::test]
async fn an_app_host_that_is_not_running_is_told_as_that() {
    let host = HttpAppHost::default();
    assert!(matches!(host.stop("hello", &[]).await, Err(HostError::Absent)));
}
