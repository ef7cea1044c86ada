//! What control says to the app host: JSON over HTTP on the loopback, with a token.
//!
//! Invariant: nothing is read of a request's body, and nothing is said, before the token
//! was found right. `GET /healthz` alone needs none.

mod apps;
mod error;
mod releases;

use crate::admin::error::Refusal;
use crate::guest::Runtime;
use crate::registry::Registry;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use slipway_engine::COMPONENT_BYTES_MAX;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

/// What the endpoints share.
#[derive(Clone)]
struct Admin {
    registry: Arc<Registry>,
    runtime: Arc<Runtime>,
    /// Held while a component is compiled: one at a time, since each takes all cores.
    compiling: Arc<Mutex<()>>,
}

/// The routes of the admin listener.
pub(crate) fn router(registry: Arc<Registry>, runtime: Arc<Runtime>, token: String) -> Router {
    let admin = Admin { registry, runtime, compiling: Arc::default() };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/status", get(apps::status))
        .route("/apps/{app}/switch", post(apps::switch))
        .route("/apps/{app}/stop", post(apps::stop))
        .route("/releases/{id}", put(releases::create).delete(releases::remove))
        .route("/releases/{id}/health", post(releases::health))
        .fallback(nothing)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(COMPONENT_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::<str>::from(token), authenticate))
        .with_state(admin)
}

/// Lets a request through that has the token, or needs none.
async fn authenticate(State(token): State<Arc<str>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.split_at_checked(b"Bearer ".len()));
    let is_right = given.is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.as_bytes()))
    });
    if is_right || request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "the admin token is missing or wrong");
    ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
}

async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({}))
}

async fn nothing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "the app host has no such endpoint")
}

async fn not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "the endpoint does not take this method")
}
