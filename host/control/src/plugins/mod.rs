//! The plugins: those that come with the server, and those in repositories.
//!
//! Control never runs them. What a component is, a worker finds out; the answer is stored
//! by digest, so each component is looked at once.

mod describe;
mod schema;

pub use describe::{Description, facts};

use crate::blobs::{self, Blobs};
use crate::clock;
use crate::definition::{Catalog, PluginFacts, is_pinned};
use crate::git::{self, Git, Location};
use crate::store::{CommitError, Store, Write};
use bytes::Bytes;
use slipway_domain::Digest;
use slipway_domain::Revision;
use slipway_domain::check::Resolution;
use slipway_domain::definition::Uses;
use slipway_domain::pin::Pins;
use slipway_protocol::lease::Component;
use slipway_protocol::message::{Description as Described, Undescribed};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long a worker may take to look at a component, compilation included.
const LOOK: Duration = Duration::from_secs(60);
/// The largest component, in bytes.
pub const COMPONENT_BYTES_MAX: u64 = 64 << 20;

/// Why plugins cannot be looked at. This is never about what they are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No worker answered.
    #[error("no worker has looked at plugin `{0}` in time: is one running?")]
    NoWorker(String),
    /// A worker had trouble of its own.
    #[error("plugin `{plugin}` could not be looked at: {reason}")]
    NotNow {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// The blobs.
    #[error("a plugin cannot be stored")]
    Blobs(#[from] blobs::Error),
    /// The store.
    #[error("a plugin's description cannot be stored")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("a plugin's description cannot be read")]
    Read(#[from] sqlx::Error),
    /// Git.
    #[error(transparent)]
    Git(#[from] git::Error),
}

/// After how long another worker is asked the same.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// How many components are remembered beside the store.
const KNOWN_MAX: usize = 1_000;

/// A question to a worker.
pub struct Question {
    /// Its number.
    pub request: u64,
    /// The component.
    pub component: Component,
}

type Answer = Result<Described, Undescribed>;

/// An answer, and the name of the token of the worker that gave it.
type Signed = (Answer, String);

/// The plugins of a server. Clones share them.
#[derive(Clone)]
pub struct Plugins {
    store: Store,
    blobs: Blobs,
    built_in: Arc<Vec<(String, Digest)>>,
    questions: mpsc::UnboundedSender<Question>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, (Digest, oneshot::Sender<Signed>)>>,
    known: Mutex<HashMap<Digest, Arc<Result<PluginFacts, String>>>>,
}

impl Plugins {
    /// The plugins that come with the server, by file name and bytes. Questions to workers
    /// come out of the receiver.
    pub async fn new(
        store: Store,
        blobs: Blobs,
        built_in: &[(String, Bytes)],
    ) -> Result<(Self, mpsc::UnboundedReceiver<Question>), Error> {
        let mut known = Vec::new();
        for (name, bytes) in built_in {
            let stored = blobs.put_if_absent(bytes.clone()).await?;
            known.push((name.clone(), stored.digest));
        }
        let (questions, asked) = mpsc::unbounded_channel();
        Ok((Self { store, blobs, built_in: Arc::new(known), questions, state: Arc::default() }, asked))
    }

    /// What is known of each plugin that a pipeline names.
    pub async fn catalog(
        &self,
        uses: &[Uses],
        git: &Git,
        location: &Location,
        revision: &Revision,
        pins: Option<Pins>,
    ) -> Result<Catalog, Error> {
        let mut catalog = Catalog { plugins: BTreeMap::new(), pins };
        for uses in uses {
            if catalog.plugins.contains_key(uses) {
                continue;
            }
            let found = match uses {
                Uses::Named { name, .. } => self.named(uses, name, catalog.pins.as_ref()).await?,
                Uses::Path(path) => self.in_repository(git, location, revision, path).await?,
            };
            catalog.plugins.insert(uses.clone(), found);
        }
        Ok(catalog)
    }

    async fn named(
        &self,
        uses: &Uses,
        name: &str,
        pins: Option<&Pins>,
    ) -> Result<Result<PluginFacts, Resolution>, Error> {
        // The pinned one is tried first, then the file's name, so that one plugin in use is looked at alone.
        let mut available = Vec::new();
        let mut order: Vec<&(String, Digest)> = self.built_in.iter().collect();
        order.sort_by_key(|(file, digest)| (!is_pinned(pins, uses, digest), file != name));
        for (file, digest) in order {
            match self.facts(file, digest).await?.as_ref() {
                Ok(facts) if uses.accepts(&facts.plugin.name, &facts.plugin.version) => return Ok(Ok(facts.clone())),
                Ok(facts) => available.push(format!("{}@{}", facts.plugin.name, facts.plugin.version)),
                Err(reason) if file == name => return Ok(Err(Resolution::Unusable { reason: reason.clone() })),
                Err(_) => {}
            }
        }
        // A misspelled name is compared with what a pipeline would write.
        let short = available.iter().filter_map(|full| full.split_once('.').map(|(short, _)| short.to_owned()));
        Ok(Err(Resolution::Unknown { available: short.collect() }))
    }

    async fn in_repository(
        &self,
        git: &Git,
        location: &Location,
        revision: &Revision,
        path: &str,
    ) -> Result<Result<PluginFacts, Resolution>, Error> {
        match git.read(location, revision, path, COMPONENT_BYTES_MAX).await {
            Ok(Some(bytes)) => {
                let stored = self.blobs.put_if_absent(Bytes::from(bytes)).await?;
                let facts = self.facts(path, &stored.digest).await?;
                Ok(facts.as_ref().clone().map_err(|reason| Resolution::Unusable { reason }))
            }
            Ok(None) => Ok(Err(Resolution::Unknown { available: Vec::new() })),
            Err(git::Error::Unusable { reason, .. }) => Ok(Err(Resolution::Unusable { reason })),
            Err(error) => Err(error.into()),
        }
    }

    /// What a component is, from memory, from the store, or from a worker.
    pub async fn facts(&self, name: &str, digest: &Digest) -> Result<Arc<Result<PluginFacts, String>>, Error> {
        if let Some(known) = self.state.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            return Ok(Arc::clone(known));
        }
        let size = self.blobs.size(digest).await?.unwrap_or(0);
        let description = match self.store.plugin(digest.as_str()).await?.and_then(|text| Description::from_json(&text))
        {
            Some(description) => description,
            None => {
                let (answer, by) = self.ask(name, digest).await?;
                let description = match answer {
                    Ok(described) => Description(Ok(described)),
                    Err(Undescribed { reason, passing: false }) => Description(Err(reason)),
                    // Kept, it would be held against the plugin for ever.
                    Err(Undescribed { reason, passing: true }) => {
                        return Err(Error::NotNow { plugin: name.to_owned(), reason });
                    }
                };
                let write = Write::Plugin {
                    digest: digest.to_string(),
                    size,
                    description: description.to_json(),
                    by,
                    at: clock::now(),
                };
                self.store.try_commit(vec![write]).await?;
                description
            }
        };
        let facts = Arc::new(facts(&description, digest, size));
        let mut known = self.state.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            // The store still has them.
            known.clear();
        }
        known.insert(digest.clone(), Arc::clone(&facts));
        drop(known);
        Ok(facts)
    }

    async fn ask(&self, name: &str, digest: &Digest) -> Result<Signed, Error> {
        let request = self.state.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(request, (digest.clone(), sender));
        let component = Component { name: name.to_owned(), digest: digest.to_string() };
        let mut answer = answer;
        let until = Instant::now() + LOOK;
        let answered = loop {
            // The receiver lives as long as the server. A worker that does not answer may be frozen:
            // the next to be asked is another.
            let _closing = self.questions.send(Question { request, component: component.clone() });
            let next = until.min(Instant::now() + ASK_AGAIN);
            match tokio::time::timeout_at(next, &mut answer).await {
                Err(_elapsed) if Instant::now() < until => {}
                answered => break answered,
            }
        };
        self.waiting().remove(&request);
        answered.ok().and_then(Result::ok).ok_or_else(|| Error::NoWorker(name.to_owned()))
    }

    /// Takes the answer of a worker that came with the token of this name.
    pub fn answered(&self, request: u64, answer: Answer, by: &str) {
        let waiting = self.waiting().remove(&request);
        if let Some((_, waiting)) = waiting {
            // Whoever asked has given up.
            let _late = waiting.send((answer, by.to_owned()));
        }
    }

    /// Forgets what the worker of a token has said, which was revoked: others are asked again.
    pub async fn forget(&self, by: &str) -> Result<(), CommitError> {
        self.store.try_commit(vec![Write::PluginsForgotten { by: by.to_owned() }]).await?;
        self.state.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// Whether a worker is being asked what this component is.
    pub fn is_asked(&self, digest: &Digest) -> bool {
        self.waiting().values().any(|(asked, _)| asked == digest)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, (Digest, oneshot::Sender<Signed>)>> {
        self.state.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plugins that come with the server, with what they are.
    pub async fn list(&self) -> Result<Vec<(String, Digest, Arc<Result<PluginFacts, String>>)>, Error> {
        let mut list = Vec::new();
        for (name, digest) in self.built_in.iter() {
            list.push((name.clone(), digest.clone(), self.facts(name, digest).await?));
        }
        Ok(list)
    }
}
