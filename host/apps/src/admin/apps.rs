//! Which release has an app's traffic.

use crate::admin::Admin;
use crate::admin::error::Refusal;
use crate::registry::AppStatus;
use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use slipway_domain::AppName;
use slipway_domain::name::{InvalidName, ReleaseId};
use std::collections::HashSet;
use tracing::info;

/// The body of `POST /apps/{app}/switch`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    release: String,
    #[serde(default)]
    keep: Vec<String>,
    /// Control saw it healthy before this host was started.
    #[serde(default)]
    trusted: bool,
}

/// The answer of `GET /status`.
#[derive(Serialize)]
pub(crate) struct Status {
    apps: Vec<AppView>,
}

#[derive(Serialize)]
struct AppView {
    app: String,
    live: Option<String>,
    candidates: Vec<String>,
    requests: u64,
    failures: u64,
    in_flight: u32,
}

/// Gives the app's traffic to a release, at once.
pub(crate) async fn switch(
    State(admin): State<Admin>,
    app: Result<Path<String>, PathRejection>,
    body: Result<Json<Switch>, JsonRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let Path(app) = app?;
    let app = AppName::new(app)?;
    let Json(Switch { release, keep, trusted }) = body?;
    let release = ReleaseId::new(release)?;
    let keep: HashSet<ReleaseId> = keep.into_iter().map(ReleaseId::new).collect::<Result<_, InvalidName>>()?;
    admin.registry.switch(&app, &release, &keep, trusted)?;
    info!(app = %app, release = %release, "release `{release}` has the traffic of app `{app}`");
    Ok(Json(serde_json::json!({})))
}

/// The body of `POST /apps/{app}/stop`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    #[serde(default)]
    keep: Vec<String>,
}

/// Takes an app out of the traffic: it has no release that is good.
pub(crate) async fn stop(
    State(admin): State<Admin>,
    app: Result<Path<String>, PathRejection>,
    body: Result<Json<Stop>, JsonRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let Path(app) = app?;
    let app = AppName::new(app)?;
    let Json(Stop { keep }) = body?;
    let keep: HashSet<ReleaseId> = keep.into_iter().map(ReleaseId::new).collect::<Result<_, InvalidName>>()?;
    admin.registry.stop(&app, &keep);
    info!(app = %app, "app `{app}` has no live release");
    Ok(Json(serde_json::json!({})))
}

/// Tells which apps there are and how they do.
pub(crate) async fn status(State(admin): State<Admin>) -> Json<Status> {
    Json(Status { apps: admin.registry.status().into_iter().map(view).collect() })
}

fn view(status: AppStatus) -> AppView {
    let AppStatus { app, live, candidates, counts } = status;
    AppView {
        app: app.to_string(),
        live: live.map(|id| id.to_string()),
        candidates: candidates.iter().map(ToString::to_string).collect(),
        requests: counts.requests,
        failures: counts.failures,
        in_flight: counts.in_flight,
    }
}
