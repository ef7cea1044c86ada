//! Components, revisions and artifacts. A worker gets what its lease is about, and nothing
//! else.

use super::Workers;
use crate::git::Location;
use crate::scheduler::Holder;
use crate::store::Write;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use slipway_domain::{Digest, Revision};
use slipway_protocol::LEASE_HEADER;

/// The folder of the archives of revisions, which can all be made again.
const ARCHIVES: &str = "revisions";
/// How many of them are kept.
const ARCHIVES_MAX: usize = 256;
/// How many bytes of them are kept.
const ARCHIVES_BYTES_MAX: u64 = 4 << 30;

/// A refusal in plain words; a worker shows it in the log.
fn refuse(status: StatusCode, message: impl Into<String>) -> Response {
    (status, message.into()).into_response()
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "bulk data could not be served");
    refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("control could not serve it: {error}"))
}

fn not_held() -> Response {
    refuse(StatusCode::FORBIDDEN, "this lease is not held")
}

/// What the lease of a request is about, if the request shows that its sender holds it.
fn holder(workers: &Workers, epoch: u64, headers: &HeaderMap) -> Option<Holder> {
    let key = headers.get(LEASE_HEADER)?.to_str().ok()?;
    workers.scheduler.holder(epoch, key)
}

/// A component that a worker was asked about.
pub(super) async fn component(State(workers): State<Workers>, Path(digest): Path<String>) -> Response {
    let Ok(digest) = Digest::new(digest) else { return refuse(StatusCode::BAD_REQUEST, "this is no digest") };
    if !workers.plugins.is_asked(&digest) {
        return refuse(StatusCode::FORBIDDEN, "no worker was asked about that");
    }
    component_bytes(&workers, &digest).await
}

/// The component that a lease is about.
pub(super) async fn lease_component(
    State(workers): State<Workers>,
    Path(epoch): Path<u64>,
    headers: HeaderMap,
) -> Response {
    match holder(&workers, epoch, &headers) {
        Some(holder) => component_bytes(&workers, &holder.component).await,
        None => not_held(),
    }
}

async fn component_bytes(workers: &Workers, digest: &Digest) -> Response {
    match workers.blobs.read(digest).await {
        Ok(Some(bytes)) => bytes.into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such component"),
        Err(error) => broken(&error),
    }
}

pub(super) async fn source(State(workers): State<Workers>, Path(epoch): Path<u64>, headers: HeaderMap) -> Response {
    let Some(holder) = holder(&workers, epoch, &headers) else { return not_held() };
    match archive(&workers, &holder).await {
        Ok(body) => body,
        Err(response) => response,
    }
}

/// The archive of what a lease works on, made if it is not there. It may be removed between
/// being found and being opened; then it is made again, once.
async fn archive(workers: &Workers, holder: &Holder) -> Result<Response, Response> {
    let location = Location::parse(&holder.repository).map_err(|error| broken(&error))?;
    let revision = Revision::new(holder.revision.as_str()).map_err(|error| broken(&error))?;
    let name = format!("{ARCHIVES}/{revision}.tar");
    for _try in 0..2 {
        if let Some((_, body)) = workers.blobs.get_named(&name).await.map_err(|error| broken(&error))? {
            return Ok(Body::from_stream(body).into_response());
        }
        let git = workers.scheduler.git();
        git.fetch(&location, &revision).await.map_err(|error| broken(&error))?;
        let file = workers.blobs.incoming().map_err(|error| broken(&error))?;
        git.archive(&location, &revision, file.path()).await.map_err(|error| broken(&error))?;
        workers.blobs.put_named(&name, file.path()).await.map_err(|error| broken(&error))?;
        let kept = workers.blobs.keep_newest(ARCHIVES, ARCHIVES_MAX, ARCHIVES_BYTES_MAX).await;
        kept.map_err(|error| broken(&error))?;
    }
    Err(refuse(StatusCode::NOT_FOUND, "the revision is no longer stored"))
}

pub(super) async fn blob(
    State(workers): State<Workers>,
    Path((epoch, digest)): Path<(u64, String)>,
    headers: HeaderMap,
) -> Response {
    let Ok(digest) = Digest::new(digest) else { return refuse(StatusCode::BAD_REQUEST, "this is no digest") };
    if holder(&workers, epoch, &headers).is_none() {
        return not_held();
    }
    if !workers.scheduler.may_read(epoch, digest.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "this lease may not read that");
    }
    match workers.blobs.get(&digest).await {
        Ok(Some((_, body))) => Body::from_stream(body).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such blob"),
        Err(error) => broken(&error),
    }
}

pub(super) async fn upload(
    State(workers): State<Workers>,
    Path(epoch): Path<u64>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if holder(&workers, epoch, &headers).is_none() {
        return not_held();
    }
    let bytes_max = workers.scheduler.upload_bytes_left(epoch);
    match workers.blobs.put_stream(body.into_data_stream(), bytes_max).await {
        Ok(stored) => {
            let (digest, size) = (stored.digest.to_string(), stored.size);
            if !workers.scheduler.uploaded(epoch, &digest, size) {
                let error = crate::blobs::Error::TooLarge(workers.scheduler.upload_bytes_left(epoch));
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
            }
            // Durable before it is acknowledged: a worker that lives through a crash of this
            // process does not send it again.
            let write = Write::Upload { epoch, digest: digest.clone(), size };
            if let Err(error) = workers.scheduler.store().commit(vec![write]).durable().await {
                return broken(&error);
            }
            Json(json!({ "digest": digest, "size": size })).into_response()
        }
        Err(error @ crate::blobs::Error::TooLarge(_)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(error @ crate::blobs::Error::Broken(_)) => refuse(StatusCode::BAD_REQUEST, error.to_string()),
        Err(error @ (crate::blobs::Error::Store(_) | crate::blobs::Error::Disk(_))) => broken(&error),
    }
}
