//! `apps`: releases on the app host.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other reply than a call's own is one case: a fault of the host"
)]

use super::slipway::stage::apps;
use super::{Answer, done, odd};
use crate::runtime::state::State;
use crate::session::Session;
use slipway_protocol::call::ReleaseInfo;
use slipway_protocol::{Call, Reply};

impl From<ReleaseInfo> for apps::ReleaseInfo {
    fn from(release: ReleaseInfo) -> Self {
        let ReleaseInfo { id, version, digest } = release;
        Self { id, version, digest, details: Vec::new() }
    }
}

/// A call that answers with a release or with none.
async fn maybe_release(session: &Session, call: Call) -> Answer<Option<apps::ReleaseInfo>> {
    match session.call(call).await? {
        Reply::Release(release) => Ok(Ok(Some(release.into()))),
        Reply::NoRelease => Ok(Ok(None)),
        Reply::Refused(failure) => Ok(Err(failure.into())),
        other => odd(&other),
    }
}

impl apps::Host for State {
    async fn current(&mut self, app: String) -> Answer<Option<apps::ReleaseInfo>> {
        maybe_release(&self.session, Call::CurrentRelease { app }).await
    }

    async fn release(&mut self, app: String, digest: String) -> Answer<apps::ReleaseInfo> {
        match self.session.call(Call::Release { app, digest }).await? {
            Reply::Release(release) => Ok(Ok(release.into())),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn health(&mut self, release: String, path: String, within_ms: u32) -> Answer<apps::HealthInfo> {
        match self.session.call(Call::Health { release, path, within_ms }).await? {
            Reply::Health(health) => Ok(Ok(apps::HealthInfo {
                healthy: health.healthy,
                status: health.status,
                message: health.message,
                time_us: health.time_us,
                details: Vec::new(),
            })),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }

    async fn switch(&mut self, release: String) -> Answer<()> {
        done(&self.session, Call::Switch { release }).await
    }

    async fn restore(&mut self, app: String) -> Answer<Option<apps::ReleaseInfo>> {
        maybe_release(&self.session, Call::Restore { app }).await
    }

    async fn address(&mut self, app: String) -> Answer<String> {
        match self.session.call(Call::Address { app }).await? {
            Reply::Address { url } => Ok(Ok(url)),
            Reply::Refused(failure) => Ok(Err(failure.into())),
            other => odd(&other),
        }
    }
}
