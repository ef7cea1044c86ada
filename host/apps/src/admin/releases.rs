//! Candidates: made of a component, asked how they are, dropped.

use crate::admin::Admin;
use crate::admin::error::Refusal;
use crate::guest::Identity;
use crate::health;
use crate::registry::{Parts, Release};
use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::uri::PathAndQuery;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slipway_domain::AppName;
use slipway_domain::name::ReleaseId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// The longest version, in bytes.
const VERSION_BYTES_MAX: usize = 256;
/// The longest time of a health check.
const WITHIN_MAX: Duration = Duration::from_secs(3_600);
/// The longest path of a health check, in bytes.
const PATH_BYTES_MAX: usize = 2 << 10;

/// The query of `PUT /releases/{id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    app: String,
    #[serde(default)]
    version: String,
}

/// The body of `POST /releases/{id}/health`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    path: String,
    #[serde(default)]
    within_ms: u64,
}

/// Its answer.
#[derive(Serialize)]
pub(crate) struct HealthView {
    healthy: bool,
    status: u16,
    message: String,
    time_us: u64,
}

/// Makes a candidate of a component. Asked again for the same one, it does nothing.
pub(crate) async fn create(
    State(admin): State<Admin>,
    id: Result<Path<String>, PathRejection>,
    about: Result<Query<About>, QueryRejection>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let (Path(id), Query(About { app, version })) = (id?, about?);
    let identity = Identity { app: AppName::new(app)?, release: ReleaseId::new(id)? };
    if version.len() > VERSION_BYTES_MAX {
        let message = format!("the version has more than {VERSION_BYTES_MAX} bytes");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
    }
    let bytes = bytes?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();

    // It stays held until the compilation ends, even when control goes away meanwhile.
    let compiling = Arc::clone(&admin.compiling).lock_owned().await;
    if admin.registry.has(&identity.release, &Parts { app: &identity.app, version: &version, digest })? {
        return Ok(Json(serde_json::json!({})));
    }
    let (runtime, name) = (Arc::clone(&admin.runtime), identity.clone());
    let began = Instant::now();
    let compiled = tokio::task::spawn_blocking(move || {
        let handler = runtime.compile(name, &bytes);
        drop(compiling);
        handler
    });
    let handler = match compiled.await {
        Ok(Ok(handler)) => handler,
        Ok(Err(unfit)) => return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, unfit.to_string())),
        Err(error) => {
            let message = format!("the engine failed to compile it: {error}");
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message));
        }
    };
    admin.registry.add(Release::new(version, digest, handler))?;
    let Identity { app, release } = identity;
    let time_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(app = %app, release = %release, time_ms, "release `{release}` is a candidate of app `{app}`");
    Ok(Json(serde_json::json!({})))
}

/// Asks a release how it is, until it is healthy or the time is over.
pub(crate) async fn health(
    State(admin): State<Admin>,
    id: Result<Path<String>, PathRejection>,
    body: Result<Json<Check>, JsonRejection>,
) -> Result<Json<HealthView>, Refusal> {
    let (Path(id), Json(Check { path, within_ms })) = (id?, body?);
    let release = admin.registry.get(&ReleaseId::new(id)?)?;
    let path = parse_path(&path)?;
    let health = health::check(&release, &path, Duration::from_millis(within_ms).min(WITHIN_MAX)).await;
    let id = &release.identity().release;
    info!(app = %release.identity().app, release = %id, status = health.status, healthy = health.is_healthy(),
        "release `{id}` answered its health check with {}", health.status);
    Ok(Json(HealthView {
        healthy: health.is_healthy(),
        status: health.status,
        time_us: u64::try_from(health.time.as_micros()).unwrap_or(u64::MAX),
        message: health.message,
    }))
}

/// Drops a candidate. Asked again, it does nothing.
pub(crate) async fn remove(
    State(admin): State<Admin>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let Path(id) = id?;
    let id = ReleaseId::new(id)?;
    admin.registry.remove(&id)?;
    info!(release = %id, "release `{id}` is gone");
    Ok(Json(serde_json::json!({})))
}

fn parse_path(path: &str) -> Result<PathAndQuery, Refusal> {
    let parsed = PathAndQuery::try_from(path).ok();
    parsed.filter(|_| path.starts_with('/') && path.len() <= PATH_BYTES_MAX).ok_or_else(|| {
        let message =
            format!("the path of a health check begins with `/` and is a path, of at most {PATH_BYTES_MAX} bytes");
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })
}
