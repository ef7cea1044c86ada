//! The scheduler with a real store, and workers that are the tests themselves.

mod calls;
mod leases;
mod property;
mod recovery;
mod submission;

use super::submit::Accepted;
use super::{LeaseKeys, Pipeline, RunRequest, Scheduler, Taken};
use crate::blobs::Blobs;
use crate::definition::{Checked, StageFacts, read};
use crate::git::{Git, Resolved};
use crate::plugins::{Plugins, Question};
use crate::secrets::Secrets;
use crate::store::rows::PipelineRow;
use crate::store::{Store, Write};
use slipway_domain::definition::Reference;
use slipway_domain::grant::{Operator, Tier};
use slipway_domain::plugin::{Kind, Plugin};
use slipway_domain::{Digest, PipelineName, Revision, RunId};
use slipway_protocol::message::{Body, LogEntry, Metering};
use slipway_protocol::outcome::Outcome;
use slipway_protocol::{FromControl, Lease};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Stages of each kind, one after the other.
const THREE: &str = r#"
    name = "p"
    [stages.build]
    uses = "build@1"
    [stages.test]
    uses = "test@1"
    needs = ["build"]
    [stages.deploy]
    uses = "deploy@1"
    needs = ["test"]
"#;

/// One stage.
pub(crate) const ONE: &str = "name = \"p\"\n[stages.build]\nuses = \"build@1\"\n";

/// A server's scheduler on a data folder.
pub(crate) struct Server {
    pub(crate) scheduler: Scheduler,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) plugins: Plugins,
    pub(crate) secrets: Secrets,
    pub(crate) questions: Option<mpsc::UnboundedReceiver<Question>>,
    connections: AtomicU64,
}

impl Server {
    /// Starts one. Of workers whose names begin with `dead` it is known that they have ended.
    pub(crate) async fn start(folder: &Path) -> Self {
        let store = Store::open(folder).await.unwrap();
        let blobs = Blobs::local(&folder.join("blobs")).unwrap();
        let (plugins, questions) = Plugins::new(store.clone(), blobs.clone(), &[]).await.unwrap();
        let git = Git::new(folder.join("mirrors"));
        let keys = LeaseKeys::new([1; 32]);
        let secrets = Secrets::open(store.clone(), folder).unwrap();
        let scheduler = Scheduler::new(store.clone(), git, plugins.clone(), Operator::default(), keys, secrets.clone());
        scheduler.recover(|worker| worker.starts_with("dead")).await.unwrap();
        let row = PipelineRow { name: "p".into(), repository: "/nowhere".into(), created_at: 1 };
        store.try_commit(vec![Write::Pipeline(row)]).await.unwrap();
        let connections = AtomicU64::new(1);
        Self { scheduler, store, blobs, plugins, secrets, questions: Some(questions), connections }
    }

    /// Ends it as a crash would, but for what is queued at the store, which becomes durable.
    async fn end(self) {
        self.store.close().await;
    }

    pub(crate) async fn run(&self, text: &str) -> RunId {
        self.scheduler.accept(accepted(text, request())).await.unwrap()
    }

    /// A worker that has just connected, with the leases it says it holds.
    pub(crate) fn worker(&self, name: &str, slots: u32, holds: &[u64]) -> Worker {
        let (tell, told) = mpsc::unbounded_channel();
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let resumed = self.scheduler.worker_connected(name, slots, holds, connection, tell);
        Worker { name: name.to_owned(), connection, scheduler: self.scheduler.clone(), told, resumed }
    }

    async fn state(&self, run: &RunId) -> String {
        self.durable().await;
        self.store.run(run.as_str()).await.unwrap().unwrap().state
    }

    /// Lets time pass for the leases, and takes back what was not renewed meanwhile.
    async fn pass_time(&self, time: Duration) {
        // Nobody sleeps: time stands still but for this step.
        tokio::time::pause();
        tokio::time::advance(time).await;
        self.scheduler.expire();
        tokio::time::resume();
    }

    /// Waits until all that was decided is durable.
    pub(crate) async fn durable(&self) {
        self.store.commit(Vec::new()).durable().await.unwrap();
    }
}

/// A worker, as control sees it.
pub(crate) struct Worker {
    name: String,
    connection: u64,
    scheduler: Scheduler,
    told: mpsc::UnboundedReceiver<FromControl>,
    resumed: Vec<(u64, u64)>,
}

impl Worker {
    fn frame(&self, epoch: u64, seq: u64, body: Body) -> Taken {
        self.scheduler.frame(&self.name, self.connection, epoch, seq, body)
    }

    /// It, as the broker knows it.
    pub(crate) fn speaker(&self) -> crate::broker::Speaker {
        let (tell, _told) = mpsc::unbounded_channel();
        crate::broker::Speaker { worker: self.name.clone(), connection: self.connection, tell }
    }

    /// All that it was told until now.
    fn told(&mut self) -> Vec<FromControl> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// The leases that it was given until now.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only leases are asked for")]
    pub(crate) fn leases(&mut self) -> Vec<Lease> {
        let leases = self.told().into_iter().filter_map(|message| match message {
            FromControl::Lease(lease) => Some(*lease),
            _ => None,
        });
        leases.collect()
    }

    pub(crate) fn lease(&mut self) -> Lease {
        let mut leases = self.leases();
        assert_eq!(leases.len(), 1, "{leases:?}");
        leases.remove(0)
    }

    /// Waits until it is told that a frame is stored.
    pub(crate) async fn stored(&mut self, wanted: u64) {
        while let Some(message) = self.told.recv().await {
            if matches!(message, FromControl::Stored { seq, .. } if seq == wanted) {
                return;
            }
        }
    }

    fn pass(&self, epoch: u64, seq: u64) {
        assert!(matches!(self.frame(epoch, seq, passed()), Taken::Done));
    }
}

pub(crate) fn passed() -> Body {
    Body::Ended { outcome: Outcome { unhappy: None }, metering: Metering::default() }
}

fn log(message: &str) -> Body {
    let entry = LogEntry {
        at_us: 1,
        source: "stage".into(),
        level: "info".into(),
        message: message.into(),
        fields: Vec::new(),
    };
    Body::Log { entries: vec![entry] }
}

fn request() -> RunRequest {
    RunRequest {
        pipeline: PipelineName::new("p").unwrap(),
        reference: "v1".into(),
        parameters: BTreeMap::new(),
        triggered_by: "somebody".into(),
        idempotency_key: None,
        tier: Tier::Protected,
    }
}

/// A run that is about to begin. A stage's name is its kind.
fn accepted(text: &str, request: RunRequest) -> Accepted {
    let definition = read(text).1.unwrap();
    let stages = definition.stages.iter().map(|stage| {
        let kind = Kind::parse(stage.name.as_str()).unwrap();
        let plugin = Plugin {
            name: stage.name.to_string(),
            version: "1.0.0".into(),
            kind,
            imports: Default::default(),
            requests: Vec::new(),
        };
        let digest = Digest::new(format!("sha256:{:064}", 1)).unwrap();
        (stage.name.clone(), StageFacts { plugin, digest, grants: Default::default() })
    });
    let stages = stages.collect();
    let pipeline = Arc::new(Pipeline {
        digest: format!("sha256:{:064}", text.len()),
        text: text.to_owned(),
        checked: Checked { definition, stages },
        table: Vec::new(),
    });
    let resolved =
        Resolved { revision: Revision::new("0".repeat(40)).unwrap(), reference: Reference::Tag("v1".into()) };
    Accepted::new(request, "/nowhere".into(), &resolved, &pipeline)
}
