//! Artifacts: list and download.

use super::Api;
use super::extract::Path;
use super::problem::Problem;
use super::runs::known;
use crate::store::rows::ArtifactRow;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use slipway_domain::Digest;
use utoipa::ToSchema;

/// An artifact.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactView {
    /// The stage that stored it.
    stage: String,
    /// Its name.
    name: String,
    /// Its digest, computed by the server.
    digest: String,
    /// Its size in bytes.
    size: u64,
    /// Its media type, as the stage says.
    media_type: String,
    /// When it was stored.
    created_at: String,
}

impl From<ArtifactRow> for ArtifactView {
    fn from(row: ArtifactRow) -> Self {
        Self {
            stage: row.stage,
            name: row.name,
            digest: row.digest,
            size: row.size,
            media_type: row.media_type,
            created_at: crate::clock::text(row.created_at),
        }
    }
}

/// The artifacts of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ArtifactList {
    /// The artifacts, by stage and name.
    artifacts: Vec<ArtifactView>,
}

async fn rows(api: &Api, run: &str) -> Result<Vec<ArtifactRow>, Problem> {
    let id = known(api, run).await?;
    Ok(api.store.artifacts(id.as_str()).await?)
}

/// Lists the artifacts of a run.
#[utoipa::path(get, path = "/v1/runs/{run}/artifacts", tag = "artifacts", params(("run" = String, Path)),
    responses((status = 200, body = ArtifactList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_artifacts(
    State(api): State<Api>,
    Path(run): Path<String>,
) -> Result<Json<ArtifactList>, Problem> {
    Ok(Json(ArtifactList { artifacts: rows(&api, &run).await?.into_iter().map(Into::into).collect() }))
}

/// Downloads an artifact.
#[utoipa::path(get, path = "/v1/runs/{run}/artifacts/{stage}/{name}", tag = "artifacts",
    params(("run" = String, Path), ("stage" = String, Path), ("name" = String, Path)),
    responses((status = 200, description = "the bytes", content_type = "application/octet-stream", body = Vec<u8>),
        (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn get_artifact(
    State(api): State<Api>,
    Path((run, stage, name)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let rows = rows(&api, &run).await?;
    let row = rows.into_iter().find(|row| row.stage == stage && row.name == name);
    let row = row.ok_or_else(|| Problem::missing("artifact", &format!("{stage}/{name}")))?;
    let digest = Digest::new(row.digest.clone()).map_err(|error| Problem::internal(&error))?;
    let found = api.blobs.get(&digest).await.map_err(|error| Problem::internal(&error))?;
    let (size, body) = found.ok_or_else(|| Problem::missing("artifact", &format!("{stage}/{name}")))?;
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    // Whatever a stage says it is, a browser never shows it as a page of ours.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", row.name)) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", row.digest)) {
        headers.insert(header::ETAG, value);
    }
    Ok(response)
}
