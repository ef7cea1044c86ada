//! Components, revisions and artifacts. A worker gets what its lease is about, and nothing
//! else.

use super::Workers;
use crate::git::Location;
use crate::store::Write;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use slipway_domain::{Digest, Revision};

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

pub(super) async fn component(State(workers): State<Workers>, Path(digest): Path<String>) -> Response {
    let Ok(digest) = Digest::new(digest) else { return refuse(StatusCode::BAD_REQUEST, "this is no digest") };
    // Only what was stored as a plugin, not every blob there is.
    match workers.plugins.component(&digest).await {
        Ok(Some(bytes)) => bytes.into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such component"),
        Err(error) => broken(&error),
    }
}

pub(super) async fn source(State(workers): State<Workers>, Path(epoch): Path<u64>) -> Response {
    let Some((run, _)) = workers.scheduler.holds(epoch) else { return not_held() };
    let source = async {
        let run = workers.scheduler.store().run(run.as_str()).await.map_err(|error| broken(&error))?;
        let run = run.ok_or_else(not_held)?;
        let pipeline = workers.scheduler.store().pipeline(&run.pipeline).await.map_err(|error| broken(&error))?;
        let location = Location::parse(&pipeline.ok_or_else(not_held)?.repository).map_err(|error| broken(&error))?;
        let revision = Revision::new(run.revision).map_err(|error| broken(&error))?;
        let name = format!("revisions/{revision}.tar");
        if !workers.blobs.has_named(&name).await.map_err(|error| broken(&error))? {
            let git = workers.scheduler.git();
            git.fetch(&location, &revision).await.map_err(|error| broken(&error))?;
            let file = workers.blobs.incoming().map_err(|error| broken(&error))?;
            git.archive(&location, &revision, file.path()).await.map_err(|error| broken(&error))?;
            workers.blobs.put_named(&name, file.path()).await.map_err(|error| broken(&error))?;
        }
        workers.blobs.get_named(&name).await.map_err(|error| broken(&error))
    };
    match source.await {
        Ok(Some((_, body))) => Body::from_stream(body).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "the revision is no longer stored"),
        Err(response) => response,
    }
}

pub(super) async fn blob(State(workers): State<Workers>, Path((epoch, digest)): Path<(u64, String)>) -> Response {
    let Ok(digest) = Digest::new(digest) else { return refuse(StatusCode::BAD_REQUEST, "this is no digest") };
    if !workers.scheduler.may_read(epoch, digest.as_str()) {
        return refuse(StatusCode::FORBIDDEN, "this lease may not read that");
    }
    match workers.blobs.get(&digest).await {
        Ok(Some((_, body))) => Body::from_stream(body).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such blob"),
        Err(error) => broken(&error),
    }
}

pub(super) async fn upload(State(workers): State<Workers>, Path(epoch): Path<u64>, body: Body) -> Response {
    if workers.scheduler.holds(epoch).is_none() {
        return not_held();
    }
    match workers.blobs.put_stream(body.into_data_stream()).await {
        Ok(stored) => {
            let (digest, size) = (stored.digest.to_string(), stored.size);
            workers.scheduler.uploaded(epoch, &digest, size);
            // Stored before the artifact that will name it, since the store keeps its order.
            let write = Write::Upload { epoch, digest: digest.clone(), size };
            drop(workers.scheduler.store().commit(vec![write]));
            Json(json!({ "digest": digest, "size": size })).into_response()
        }
        Err(error @ crate::blobs::Error::TooLarge) => refuse(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        Err(error @ crate::blobs::Error::Broken(_)) => refuse(StatusCode::BAD_REQUEST, error.to_string()),
        Err(error @ (crate::blobs::Error::Store(_) | crate::blobs::Error::Disk(_))) => broken(&error),
    }
}
