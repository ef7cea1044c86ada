//! What needs no token: health, readiness, and the document of the API.

use super::Api;
use super::problem::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

/// What is needed to run something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReadyView {
    /// Whether a run that is triggered now would begin.
    ready: bool,
    /// How many workers are connected.
    workers: usize,
    /// How many runs have not ended.
    open_runs: usize,
    /// How many stages wait for a worker.
    waiting_stages: usize,
    /// How many stages are with a worker.
    running_stages: usize,
}

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HealthView {
    /// `ok`.
    status: &'static str,
}

/// Tells that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "service", security(()), responses((status = 200, body = HealthView)))]
pub(super) async fn healthy() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

pub(super) fn router(api: Api, document: String) -> Router<Api> {
    let document = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    Router::new()
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(document))
        .with_state(api)
}

/// Tells whether something can be run: the store answers and a worker is there.
#[utoipa::path(get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, body = ReadyView), (status = 503, body = ReadyView), (status = "5XX", body = Problem)))]
pub(super) async fn ready(State(api): State<Api>) -> Result<(StatusCode, Json<ReadyView>), Problem> {
    api.store.is_readable().await?;
    let workers = api.scheduler.workers();
    let (open_runs, waiting_stages, running_stages) = api.scheduler.load();
    let status = if workers > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(ReadyView { ready: workers > 0, workers, open_runs, waiting_stages, running_stages })))
}
