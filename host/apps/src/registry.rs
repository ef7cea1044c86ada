//! Which releases there are, and which of them has its app's traffic.
//!
//! Invariant: a release that this host did not see healthy never becomes live, unless
//! control vouches for it. A release that is taken out lives on in the requests that it
//! answers.

use crate::guest::{Handler, Identity};
use crate::tally::{Counts, Tally};
use slipway_domain::AppName;
use slipway_domain::name::ReleaseId;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A release that can answer requests.
pub(crate) struct Release {
    /// The version, for people.
    pub(crate) version: String,
    /// The SHA-256 of the component.
    pub(crate) digest: [u8; 32],
    /// Its code.
    pub(crate) handler: Handler,
    healthy: AtomicBool,
}

impl Release {
    /// A candidate whose health is not known.
    pub(crate) const fn new(version: String, digest: [u8; 32], handler: Handler) -> Self {
        Self { version, digest, handler, healthy: AtomicBool::new(false) }
    }

    /// Whose release it is.
    pub(crate) const fn identity(&self) -> &Identity {
        self.handler.identity()
    }

    /// Remembers what the last health check found.
    pub(crate) fn found(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    fn is_same(&self, other: &Parts<'_>) -> bool {
        self.identity().app == *other.app && self.version == other.version && self.digest == other.digest
    }
}

/// What makes a release the same as one that is there.
pub(crate) struct Parts<'a> {
    /// The app.
    pub(crate) app: &'a AppName,
    /// The version.
    pub(crate) version: &'a str,
    /// The SHA-256 of the component.
    pub(crate) digest: [u8; 32],
}

/// Why an order is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such release, or not of this app.
    #[error("there is no release `{0}` here: send its component first")]
    Unknown(ReleaseId),
    /// The id stands for something else.
    #[error("release `{0}` is here with another app, version or component: give the new one an id of its own")]
    Different(ReleaseId),
    /// It was not seen healthy.
    #[error("release `{0}` did not pass its last health check on this host, so it gets no traffic")]
    NotHealthy(ReleaseId),
    /// It has the traffic.
    #[error("release `{0}` has its app's traffic: switch to another one first")]
    Live(ReleaseId),
}

/// Where a request goes.
pub(crate) enum Route {
    /// There is no such app.
    Unknown,
    /// The app has no live release.
    Down,
    /// To this release.
    To(Arc<Tally>, Arc<Release>),
}

/// One app, as control sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AppStatus {
    /// The app.
    pub(crate) app: AppName,
    /// The release that has the traffic.
    pub(crate) live: Option<ReleaseId>,
    /// The other releases.
    pub(crate) candidates: Vec<ReleaseId>,
    /// Its counters.
    pub(crate) counts: Counts,
}

/// All releases of this host.
pub(crate) struct Registry {
    inner: RwLock<Inner>,
    places: usize,
}

#[derive(Default)]
struct Inner {
    releases: HashMap<ReleaseId, Arc<Release>>,
    /// Every app that has a release or is expected to get one, and no other.
    apps: HashMap<AppName, App>,
}

struct App {
    tally: Arc<Tally>,
    live: Option<Arc<Release>>,
}

impl Registry {
    /// None yet. `places` is how many requests one app may have at once.
    pub(crate) fn new(places: usize) -> Self {
        Self { inner: RwLock::default(), places }
    }

    /// Takes an app for one that is there and has no live release yet.
    pub(crate) fn expect(&self, app: AppName) {
        self.write().apps.entry(app).or_insert_with(|| App { tally: Tally::new(self.places), live: None });
    }

    /// Where a request for this app goes.
    pub(crate) fn route(&self, app: &AppName) -> Route {
        match self.read().apps.get(app) {
            None => Route::Unknown,
            Some(App { live: None, .. }) => Route::Down,
            Some(App { tally, live: Some(live) }) => Route::To(Arc::clone(tally), Arc::clone(live)),
        }
    }

    /// A release by its id.
    pub(crate) fn get(&self, id: &ReleaseId) -> Result<Arc<Release>, Error> {
        self.read().releases.get(id).map(Arc::clone).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// Whether this very release is here already.
    pub(crate) fn has(&self, id: &ReleaseId, parts: &Parts<'_>) -> Result<bool, Error> {
        match self.read().releases.get(id) {
            None => Ok(false),
            Some(release) if release.is_same(parts) => Ok(true),
            Some(_) => Err(Error::Different(id.clone())),
        }
    }

    /// Adds a candidate. One that came in the meantime stays.
    pub(crate) fn add(&self, release: Release) -> Result<(), Error> {
        let id = release.identity().release.clone();
        let app = release.identity().app.clone();
        let mut inner = self.write();
        if let Some(here) = inner.releases.get(&id) {
            let parts = Parts { app: &app, version: &release.version, digest: release.digest };
            return if here.is_same(&parts) { Ok(()) } else { Err(Error::Different(id)) };
        }
        inner.releases.insert(id, Arc::new(release));
        inner.apps.entry(app).or_insert_with(|| App { tally: Tally::new(self.places), live: None });
        Ok(())
    }

    /// Gives the app's traffic to a release and takes out those that are neither live nor
    /// kept. A release that has the traffic already keeps it; one that is trusted counts as
    /// healthy until its next check.
    pub(crate) fn switch(
        &self,
        app: &AppName,
        id: &ReleaseId,
        keep: &HashSet<ReleaseId>,
        trusted: bool,
    ) -> Result<(), Error> {
        let unknown = || Error::Unknown(id.clone());
        let mut inner = self.write();
        let release = inner.releases.get(id).filter(|release| release.identity().app == *app).map(Arc::clone);
        let release = release.ok_or_else(unknown)?;
        let entry = inner.apps.get_mut(app).ok_or_else(unknown)?;
        let is_live = entry.live.as_ref().is_some_and(|live| Arc::ptr_eq(live, &release));
        if !is_live && !trusted && !release.healthy.load(Ordering::Relaxed) {
            return Err(Error::NotHealthy(id.clone()));
        }
        if trusted {
            release.found(true);
        }
        let before = entry.live.replace(release);
        let gone: Vec<Arc<Release>> = inner
            .releases
            .extract_if(|other, release| release.identity().app == *app && other != id && !keep.contains(other))
            .map(|(_, release)| release)
            .collect();
        // Code is unmapped when its last clone goes: not while everybody waits.
        drop(inner);
        drop((before, gone));
        Ok(())
    }

    /// Takes the traffic from whichever release of an app has it, and drops the releases that
    /// are not kept. An app that is not there has none already.
    pub(crate) fn stop(&self, app: &AppName, keep: &HashSet<ReleaseId>) {
        let mut inner = self.write();
        let before = inner.apps.get_mut(app).and_then(|entry| entry.live.take());
        let gone: Vec<Arc<Release>> = inner
            .releases
            .extract_if(|id, release| release.identity().app == *app && !keep.contains(id))
            .map(|(_, release)| release)
            .collect();
        if !inner.releases.values().any(|release| release.identity().app == *app) {
            inner.apps.remove(app);
        }
        // As above.
        drop(inner);
        drop((before, gone));
    }

    /// Takes a candidate out. That there is none is no error: the order may come twice.
    pub(crate) fn remove(&self, id: &ReleaseId) -> Result<(), Error> {
        let mut inner = self.write();
        let Some(app) = inner.releases.get(id).map(|release| release.identity().app.clone()) else { return Ok(()) };
        let live = inner.apps.get(&app).and_then(|entry| entry.live.as_ref());
        if live.is_some_and(|live| live.identity().release == *id) {
            return Err(Error::Live(id.clone()));
        }
        let gone = inner.releases.remove(id);
        if !inner.releases.values().any(|release| release.identity().app == app) {
            inner.apps.remove(&app);
        }
        drop(inner);
        drop(gone);
        Ok(())
    }

    /// All apps, by name.
    pub(crate) fn status(&self) -> Vec<AppStatus> {
        let inner = self.read();
        let mut apps: BTreeMap<&AppName, AppStatus> = BTreeMap::new();
        for (app, entry) in &inner.apps {
            let live = entry.live.as_ref().map(|live| live.identity().release.clone());
            let counts = entry.tally.counts();
            apps.insert(app, AppStatus { app: app.clone(), live, candidates: Vec::new(), counts });
        }
        for (id, release) in &inner.releases {
            if let Some(status) =
                apps.get_mut(&release.identity().app).filter(|status| status.live.as_ref() != Some(id))
            {
                status.candidates.push(id.clone());
            }
        }
        let mut apps: Vec<AppStatus> = apps.into_values().collect();
        apps.iter_mut().for_each(|status| status.candidates.sort());
        apps
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
