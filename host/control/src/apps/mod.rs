//! Releases of apps, on the embedded app host.
//!
//! What is live is decided here and stored; the app host only does it. After a restart of
//! either, the app host is brought to what is stored.

mod client;
#[cfg(test)]
mod contract;
#[cfg(test)]
pub(crate) mod fake;

pub use client::{AppHost, Health, HostError, HttpAppHost};

use crate::blobs::{self, Blobs};
use crate::clock;
use crate::scheduler::new_id;
use crate::store::rows::ReleaseRow;
use crate::store::{CommitError, Store, Write};
use slipway_domain::name::ReleaseId;
use slipway_domain::release::{self, Release, ReleaseState, Releases};
use slipway_domain::{AppName, Digest, Revision, RunId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Whether whoever asks for something may still do so.
type Held<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// How long the app host is waited for when it is not running: longer than it takes to be
/// started anew.
const PATIENCE: Duration = Duration::from_secs(20);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// What a new release is made of.
#[derive(Debug, Clone)]
pub struct Made {
    /// The app.
    pub app: AppName,
    /// The run.
    pub run: RunId,
    /// Its pipeline.
    pub pipeline: String,
    /// The commit.
    pub revision: Revision,
    /// The version.
    pub version: Option<String>,
    /// The component.
    pub digest: Digest,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The component cannot be served.
    #[error("it cannot be served: {0}")]
    NotAnApp(String),
    /// The release was not seen to be healthy.
    #[error("the release was not seen to be healthy")]
    NotHealthy,
    /// The rules of releases.
    #[error(transparent)]
    Release(#[from] release::Error),
    /// The app host.
    #[error("the app host cannot be reached")]
    Host {
        /// Why.
        #[source]
        source: HostError,
    },
    /// The blobs.
    #[error("the component cannot be read")]
    Blobs(#[from] blobs::Error),
    /// Whoever asked has lost its lease meanwhile.
    #[error("the lease is lost")]
    Fenced,
    /// The store.
    #[error("the release was not stored")]
    Store(#[from] CommitError),
    /// The store cannot be read.
    #[error("the releases cannot be read")]
    Read(#[from] sqlx::Error),
}

impl From<HostError> for ActError {
    fn from(source: HostError) -> Self {
        match source {
            HostError::NotAnApp(reason) => Self::NotAnApp(reason),
            HostError::NotHealthy => Self::NotHealthy,
            source @ (HostError::Absent | HostError::Request(_) | HostError::Unknown(_) | HostError::Odd { .. }) => {
                Self::Host { source }
            }
        }
    }
}

/// Where apps are reached, as a text that holds `{app}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(SocketAddr);

impl Addresses {
    /// Addresses at a listener of the app host.
    pub const fn at(listen: SocketAddr) -> Self {
        Self(listen)
    }

    /// The address of an app.
    pub fn of(&self, app: &str) -> String {
        format!("http://{app}.localhost:{}", self.0.port())
    }
}

/// The releases. Clones share them.
#[derive(Clone)]
pub struct Apps {
    store: Store,
    blobs: Blobs,
    host: Arc<dyn AppHost>,
    addresses: Arc<RwLock<Addresses>>,
    /// One change of an app at a time.
    turns: Arc<std::sync::Mutex<HashMap<AppName, Arc<Mutex<()>>>>>,
}

impl Apps {
    /// Releases on an app host.
    pub fn new(store: Store, blobs: Blobs, host: Arc<dyn AppHost>, addresses: Addresses) -> Self {
        Self { store, blobs, host, addresses: Arc::new(RwLock::new(addresses)), turns: Arc::default() }
    }

    /// The app host now listens here.
    pub fn moved(&self, addresses: Addresses) {
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// The address of an app.
    pub fn address(&self, app: &AppName) -> String {
        self.addresses.read().unwrap_or_else(PoisonError::into_inner).of(app.as_str())
    }

    /// The release that has an app's traffic.
    pub async fn live(&self, app: &AppName) -> Result<Option<Release>, ActError> {
        Ok(self.load(app, None).await?.0.live().cloned())
    }

    /// A release of an app.
    pub async fn find(&self, app: &AppName, id: &ReleaseId) -> Result<Option<Release>, ActError> {
        let row = self.store.release(id.as_str()).await?;
        Ok(row.map(|row| row.release).filter(|release| release.app == *app))
    }

    /// Makes a candidate, or finds the one that this run has made of this component. Here and
    /// below, `held` tells whether whoever asks may still do so once it is its turn.
    pub async fn release(&self, made: Made, held: Held<'_>) -> Result<Release, ActError> {
        let _turn = self.turn(&made.app, held).await?;
        let (mut releases, _) = self.load(&made.app, Some(&made.run)).await?;
        let release = match releases.candidate(&made.run, &made.digest) {
            Some(candidate) => candidate.clone(),
            None => {
                let id = ReleaseId::new(new_id().to_string()).map_err(|_| release::Error::NoPrevious)?;
                let release = Release {
                    id,
                    app: made.app.clone(),
                    run: made.run,
                    revision: made.revision,
                    version: made.version,
                    digest: made.digest,
                    state: ReleaseState::Candidate,
                };
                releases.add(release.clone());
                let at = clock::now();
                let row =
                    ReleaseRow { release: release.clone(), pipeline: made.pipeline, created_at: at, changed_at: at };
                self.store.commit(vec![Write::Release(row)]).durable().await?;
                release
            }
        };
        self.load_into_host(&release, held).await?;
        Ok(release)
    }

    /// Asks a release how it is.
    pub async fn health(
        &self,
        release: &Release,
        path: &str,
        within: Duration,
        held: Held<'_>,
    ) -> Result<Health, ActError> {
        let mut patience = Patience::new();
        loop {
            match self.host.health(release.id.as_str(), path, within).await {
                Ok(health) => return Ok(health),
                // It was started anew since the release was loaded.
                Err(HostError::Unknown(_)) if patience.is_left() => self.load_into_host(release, held).await?,
                Err(error) => patience.bear(error, held).await?,
            }
        }
    }

    /// Gives the app's traffic to a release that the app host has seen healthy, for a run.
    pub async fn switch(&self, release: &Release, by: &RunId, held: Held<'_>) -> Result<(), ActError> {
        let _turn = self.turn(&release.app, held).await?;
        let (mut releases, rows) = self.load(&release.app, Some(&release.run)).await?;
        let changed = releases.switch(&release.id, by)?;
        // The host first: it knows whether the release is healthy. Between the two, the app
        // is served by the new release while the old one is stored as live; a crash there
        // brings the old one back, and the stage, taken up again, switches once more.
        match self.tell_host(&release.app, &releases, false, held).await {
            // It was started anew since it saw the release healthy, and has to see that again.
            Err(ActError::Host { source: HostError::Unknown(_) }) => {
                self.load_into_host(release, held).await?;
                return Err(ActError::NotHealthy);
            }
            told => told?,
        }
        self.save(&rows, changed).await
    }

    /// Takes back what a run has done to an app, and returns the release that is live then.
    pub async fn restore(&self, app: &AppName, run: &RunId, held: Held<'_>) -> Result<Option<Release>, ActError> {
        let _turn = self.turn(app, held).await?;
        let (mut releases, rows) = self.load(app, Some(run)).await?;
        let changed = releases.restore(run);
        self.apply_known(app, &releases, held).await?;
        self.save(&rows, changed).await?;
        Ok(releases.live().cloned())
    }

    /// Goes back to the previous release, for a person or program that asks for it. Goes on
    /// when whoever asked does not wait for it.
    pub async fn roll_back(&self, app: &AppName) -> Result<Release, ActError> {
        let (apps, app) = (self.clone(), app.clone());
        let rolled_back = tokio::spawn(async move { apps.roll_back_now(&app).await });
        rolled_back.await.unwrap_or(Err(ActError::Store(CommitError::Closed)))
    }

    async fn roll_back_now(&self, app: &AppName) -> Result<Release, ActError> {
        let _turn = self.turn(app, &|| true).await?;
        let (mut releases, rows) = self.load(app, None).await?;
        let before = releases.clone();
        let changed = releases.roll_back()?;
        self.apply_known(app, &releases, &|| true).await?;
        if let Err(error) = self.store.try_commit(changed_rows(&rows, changed)).await {
            // What is served and what is stored must not part.
            self.apply_known(app, &before, &|| true).await?;
            return Err(error.into());
        }
        releases.live().cloned().ok_or_else(|| release::Error::NoPrevious.into())
    }

    /// The apps that the app host is to serve, as far as the store can be read.
    pub async fn names(&self) -> Vec<String> {
        self.store.apps().await.unwrap_or_default()
    }

    /// Brings an app host that has just started to what is stored. Returns the apps that it
    /// does not serve as they should be, each with the reason; the others are served.
    pub async fn bring_up(&self) -> Result<Vec<(AppName, ActError)>, ActError> {
        let mut broken = Vec::new();
        for app in self.store.apps().await? {
            let Ok(app) = AppName::new(app) else { continue };
            if let Err(error) = self.bring_up_one(&app).await {
                broken.push((app, error));
            }
        }
        Ok(broken)
    }

    async fn bring_up_one(&self, app: &AppName) -> Result<(), ActError> {
        let _turn = self.turn(app, &|| true).await?;
        let (releases, _) = self.load(app, None).await?;
        self.apply_known(app, &releases, &|| true).await
    }

    /// Makes the host serve what the releases say, all of which is known to be good. The one
    /// that is kept ready for a rollback is not worth a refusal.
    async fn apply_known(&self, app: &AppName, releases: &Releases, held: Held<'_>) -> Result<(), ActError> {
        if let Some(live) = releases.live() {
            self.load_into_host(live, held).await?;
        }
        if let Some(previous) = releases.previous()
            && let Err(error) = self.load_into_host(previous, held).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, %app, release = %previous.id, "the previous release is not ready for a rollback");
        }
        self.tell_host(app, releases, true, held).await
    }

    async fn tell_host(
        &self,
        app: &AppName,
        releases: &Releases,
        trusted: bool,
        held: Held<'_>,
    ) -> Result<(), ActError> {
        let keep: Vec<String> = releases
            .iter()
            .filter(|release| matches!(release.state, ReleaseState::Previous | ReleaseState::Candidate))
            .map(|release| release.id.to_string())
            .collect();
        let mut patience = Patience::new();
        loop {
            let told = match releases.live() {
                Some(live) => self.host.switch(app.as_str(), live.id.as_str(), &keep, trusted).await,
                None => self.host.stop(app.as_str(), &keep).await,
            };
            match told {
                Ok(()) => return Ok(()),
                Err(error) => patience.bear(error, held).await?,
            }
        }
    }

    async fn load_into_host(&self, release: &Release, held: Held<'_>) -> Result<(), ActError> {
        let bytes = self.blobs.read(&release.digest).await?;
        let bytes = bytes.ok_or_else(|| ActError::NotAnApp("its component is no longer stored".into()))?;
        let version = release.version.clone().unwrap_or_else(|| release.revision.to_string());
        let mut patience = Patience::new();
        loop {
            match self.host.load(release.id.as_str(), release.app.as_str(), &version, bytes.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => patience.bear(error, held).await?,
            }
        }
    }

    /// The releases that count: candidates, the live and the previous one, and those of a run.
    async fn load(&self, app: &AppName, run: Option<&RunId>) -> Result<(Releases, Vec<ReleaseRow>), ActError> {
        let rows = self.store.releases_in_play(app.as_str(), run.map(RunId::as_str)).await?;
        Ok((Releases::new(rows.iter().map(|row| row.release.clone()).collect()), rows))
    }

    async fn save(&self, rows: &[ReleaseRow], changed: Vec<Release>) -> Result<(), ActError> {
        let writes = changed_rows(rows, changed);
        if !writes.is_empty() {
            self.store.commit(writes).durable().await?;
        }
        Ok(())
    }

    /// Waits for an app's turn; refused when it is no longer wanted by then.
    async fn turn(&self, app: &AppName, held: Held<'_>) -> Result<tokio::sync::OwnedMutexGuard<()>, ActError> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // A turn that nobody has or waits for is not kept.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(app.clone()).or_default())
        };
        let turn = turn.lock_owned().await;
        if held() { Ok(turn) } else { Err(ActError::Fenced) }
    }
}

/// How long the app host is asked again while it is being started anew. All that it is asked for
/// may be asked twice.
struct Patience {
    until: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + PATIENCE }
    }

    fn is_left(&self) -> bool {
        Instant::now() < self.until
    }

    /// Waits a moment when the app host is not there; anything else is an error, and so is a
    /// lease that is lost meanwhile.
    async fn bear(&mut self, error: HostError, held: Held<'_>) -> Result<(), ActError> {
        if !matches!(error, HostError::Absent | HostError::Request(_)) || !self.is_left() {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE).await;
        if held() { Ok(()) } else { Err(ActError::Fenced) }
    }
}

fn changed_rows(rows: &[ReleaseRow], changed: Vec<Release>) -> Vec<Write> {
    let changed = changed.into_iter().filter_map(|release| {
        let row = rows.iter().find(|row| row.release.id == release.id)?;
        Some(Write::Release(ReleaseRow { release, changed_at: clock::now(), ..row.clone() }))
    });
    changed.collect()
}

#[cfg(test)]
mod tests;
