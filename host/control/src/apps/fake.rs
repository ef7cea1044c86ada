//! An app host in memory: a small working model for tests, held to `contract.rs` as the real
//! one is.

use super::{AppHost, Health, HostError};
use async_trait::async_trait;
use bytes::Bytes;
use slipway_domain::AppName;
use slipway_domain::name::{InvalidName, ReleaseId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a component of an app begins; anything else is none.
pub(crate) const COMPONENT: &[u8] = b"component";
/// Where an app tells how it is. It has nothing at other paths.
const HEALTH: &str = "/health";

/// The host.
#[derive(Default)]
pub(crate) struct FakeHost(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    releases: BTreeMap<String, Release>,
    /// The release that has the traffic, by app.
    live: BTreeMap<String, String>,
    broken: BTreeSet<String>,
    /// How many more requests find that it is not running.
    absent: u32,
}

struct Release {
    app: String,
    version: String,
    bytes: Bytes,
    healthy: bool,
}

impl FakeHost {
    /// The release that serves an app.
    pub(crate) fn live(&self, app: &str) -> Option<String> {
        self.lock().live.get(app).cloned()
    }

    /// It loses all that it has, as a process that ends does.
    pub(crate) fn restart(&self) {
        let mut inner = self.lock();
        inner.releases.clear();
        inner.live.clear();
    }

    /// It is started anew, and is not there yet when so many requests come.
    pub(crate) fn restarts_slowly(&self, requests: u32) {
        self.restart();
        self.lock().absent = requests;
    }

    /// From now on it cannot compile a release.
    pub(crate) fn breaks(&self, release: &ReleaseId) {
        self.lock().broken.insert(release.to_string());
    }

    /// What it has, once it runs.
    fn running(&self) -> Result<MutexGuard<'_, Inner>, HostError> {
        let mut inner = self.lock();
        if inner.absent > 0 {
            inner.absent -= 1;
            return Err(HostError::Absent);
        }
        Ok(inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Drops the releases of an app that are not kept.
    fn drop_others(&mut self, app: &str, keep: impl Fn(&str) -> bool) {
        self.releases.retain(|id, release| release.app != app || keep(id));
    }
}

fn odd(status: u16, text: impl Into<String>) -> HostError {
    HostError::Odd { status, text: text.into() }
}

fn named<T>(name: Result<T, InvalidName>) -> Result<T, HostError> {
    name.map_err(|error| odd(400, error.to_string()))
}

fn unknown(release: &str) -> HostError {
    HostError::Unknown(format!("there is no release `{release}` here"))
}

#[async_trait]
impl AppHost for FakeHost {
    async fn load(&self, release: &str, app: &str, version: &str, bytes: Bytes) -> Result<(), HostError> {
        named(AppName::new(app))?;
        named(ReleaseId::new(release))?;
        let mut inner = self.running()?;
        if let Some(here) = inner.releases.get(release) {
            let same = here.app == app && here.version == version && here.bytes == bytes;
            return if same { Ok(()) } else { Err(odd(409, "it is here with another app, version or component")) };
        }
        if !bytes.starts_with(COMPONENT) || inner.broken.contains(release) {
            return Err(HostError::NotAnApp("it is not WebAssembly".into()));
        }
        let candidate = Release { app: app.to_owned(), version: version.to_owned(), bytes, healthy: false };
        inner.releases.insert(release.to_owned(), candidate);
        Ok(())
    }

    async fn health(&self, release: &str, path: &str, _within: Duration) -> Result<Health, HostError> {
        named(ReleaseId::new(release))?;
        let mut inner = self.running()?;
        let found = inner.releases.get_mut(release).ok_or_else(|| unknown(release))?;
        if !path.starts_with('/') {
            return Err(odd(400, "the path of a health check begins with `/`"));
        }
        found.healthy = path == HEALTH;
        let (status, message) = if found.healthy { (200, "ok") } else { (404, "nothing is here") };
        Ok(Health { healthy: found.healthy, status, message: message.to_owned(), time_us: 1 })
    }

    async fn switch(&self, app: &str, release: &str, keep: &[String], trusted: bool) -> Result<(), HostError> {
        named(AppName::new(app))?;
        named(ReleaseId::new(release))?;
        let mut inner = self.running()?;
        let is_live = inner.live.get(app).is_some_and(|live| live == release);
        let found = inner.releases.get_mut(release).filter(|found| found.app == app);
        let found = found.ok_or_else(|| unknown(release))?;
        if !is_live && !trusted && !found.healthy {
            return Err(HostError::NotHealthy);
        }
        found.healthy |= trusted;
        inner.live.insert(app.to_owned(), release.to_owned());
        inner.drop_others(app, |id| id == release || keep.iter().any(|kept| kept == id));
        Ok(())
    }

    async fn stop(&self, app: &str, keep: &[String]) -> Result<(), HostError> {
        named(AppName::new(app))?;
        let mut inner = self.running()?;
        inner.live.remove(app);
        inner.drop_others(app, |id| keep.iter().any(|kept| kept == id));
        Ok(())
    }
}
