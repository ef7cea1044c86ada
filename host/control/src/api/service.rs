//! What needs no token: health, readiness, and the document of the API.

use super::Api;
use super::problem::Problem;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

pub(super) fn router(api: Api, document: String) -> Router<Api> {
    let document = move || {
        let document = document.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], document) }
    };
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(document))
        .with_state(api)
}

/// Ready to run something: the store answers and a worker is there.
async fn ready(State(api): State<Api>) -> Response {
    if let Err(error) = api.store.is_readable().await {
        return Problem::internal(&error).into_response();
    }
    let workers = api.scheduler.workers();
    let (open, waiting, running) = api.scheduler.load();
    let status = if workers > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let ready = json!({
        "ready": workers > 0, "workers": workers, "open_runs": open, "waiting_stages": waiting, "running_stages": running,
    });
    (status, Json(ready)).into_response()
}
