//! `apps`: releases on the embedded app host.

use super::{Broker, Done, permit, within};
use crate::apps::{ActError, Made};
use crate::scheduler::CallContext;
use slipway_domain::grant::{Act, Capability};
use slipway_domain::name::ReleaseId;
use slipway_domain::release::{self, Release};
use slipway_domain::{AppName, Digest, Revision};
use slipway_protocol::call::{HealthInfo, ReleaseInfo};
use slipway_protocol::outcome::Failure;
use slipway_protocol::{Call, Reply};

pub(super) async fn act(broker: &Broker, context: &CallContext, call: &Call) -> Done {
    match try_act(broker, context, call).await {
        Ok(reply) => Done::reply(reply),
        Err(failure) => Done::reply(Reply::Refused(failure)),
    }
}

async fn try_act(broker: &Broker, context: &CallContext, call: &Call) -> Result<Reply, Failure> {
    let apps = &broker.apps;
    // Asked again when the app's turn has come: by then the lease may be another's.
    let held = &|| broker.scheduler.is_held(context.epoch);
    match call {
        Call::CurrentRelease { app } => Ok(maybe(apps.live(&name(app)?).await.map_err(failure)?.as_ref())),
        Call::Address { app } => Ok(Reply::Address { url: apps.address(&name(app)?) }),
        Call::Release { app, digest } => {
            let app = name(app)?;
            let known = broker.scheduler.is_input(&context.run, &context.stage, digest);
            let digest = Digest::new(digest.clone()).ok().filter(|_| known).ok_or_else(|| {
                let message = format!("`{}` is not an artifact of a stage that this one needs", digest.escape_debug());
                Failure::new("unknown-artifact", message)
            })?;
            let made = Made {
                app,
                run: context.run.clone(),
                pipeline: context.pipeline_name.clone(),
                revision: Revision::new(context.revision.clone()).map_err(invalid)?,
                version: context.version.clone(),
                digest,
            };
            Ok(Reply::Release(info(&apps.release(made, held).await.map_err(failure)?)))
        }
        Call::Health { release, path, within_ms } => {
            let release = own(broker, context, release).await?;
            if !path.starts_with('/') || path.len() > 2_000 || path.chars().any(|c| c.is_control() || c == ' ') {
                return Err(Failure::new(
                    "invalid-path",
                    format!("`{}` is no path: it begins with `/`", path.escape_debug()),
                ));
            }
            let within = within(*within_ms);
            let health = apps.health(&release, path, within, held).await.map_err(failure)?;
            Ok(Reply::Health(HealthInfo {
                healthy: health.healthy,
                status: health.status,
                message: health.message,
                time_us: health.time_us,
            }))
        }
        Call::Switch { release } => {
            let release = own(broker, context, release).await?;
            apps.switch(&release, &context.run, held).await.map_err(failure)?;
            Ok(Reply::Done)
        }
        Call::Restore { app } => {
            Ok(maybe(apps.restore(&name(app)?, &context.run, held).await.map_err(failure)?.as_ref()))
        }
        Call::SetOutput { .. }
        | Call::PutArtifact { .. }
        | Call::TestCases { .. }
        | Call::Change { .. }
        | Call::StartTool { .. }
        | Call::ToolExited { .. }
        | Call::ConnectTool { .. }
        | Call::ToolDisconnected { .. }
        | Call::OpenSecret { .. }
        | Call::ReadSecret { .. }
        | Call::SendRequest { .. } => Err(Failure::new("host", format!("`{}` is not of `apps`", call.function()))),
    }
}

/// A release of an app that the stage may touch. One of another app is as unknown as one
/// that is not there.
async fn own(broker: &Broker, context: &CallContext, id: &str) -> Result<Release, Failure> {
    let unknown = || Failure::new("unknown-release", format!("there is no release `{}`", id.escape_debug()));
    let id = ReleaseId::new(id).map_err(|_| unknown())?;
    for capability in context.grants.iter() {
        let Capability::App(app) = capability else { continue };
        if let Some(release) = broker.apps.find(app, &id).await.map_err(failure)? {
            permit(context, &Act::App(app))?;
            return Ok(release);
        }
    }
    Err(unknown())
}

fn name(app: &str) -> Result<AppName, Failure> {
    AppName::new(app).map_err(invalid)
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of `map_err`")]
fn invalid(error: slipway_domain::name::InvalidName) -> Failure {
    Failure::new("invalid-name", error.to_string())
}

fn info(release: &Release) -> ReleaseInfo {
    ReleaseInfo {
        id: release.id.to_string(),
        version: release.version.clone().unwrap_or_else(|| release.revision.to_string()),
        digest: release.digest.to_string(),
    }
}

fn maybe(release: Option<&Release>) -> Reply {
    release.map_or(Reply::NoRelease, |release| Reply::Release(info(release)))
}

fn failure(error: ActError) -> Failure {
    match error {
        ActError::NotAnApp(reason) => Failure::new("not-an-app", reason),
        ActError::NotHealthy => {
            Failure::new("not-healthy", "its last health check did not succeed, so it gets no traffic")
        }
        ActError::Release(error @ release::Error::Replaced(_)) => Failure::new("replaced", error.to_string()),
        ActError::Release(error) => Failure::new("unknown-release", error.to_string()),
        ActError::Fenced => Failure::new("fenced", "this attempt has lost its lease"),
        ActError::Host { .. } | ActError::Blobs(_) | ActError::Store(_) | ActError::Read(_) => {
            tracing::error!(%error, "the app host did not do its part");
            Failure { retryable: true, ..Failure::new("host", format!("the app host did not do its part: {error}")) }
        }
    }
}
