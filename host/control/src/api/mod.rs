//! The HTTP API: one file an endpoint or noun, thin over the scheduler and the store.

mod apps;
mod artifacts;
mod audit;
mod auth;
mod contract;
mod events;
mod extract;
mod logs;
mod pipelines;
mod plugins;
mod problem;
mod reports;
mod runs;
mod secrets;
mod server;
mod service;
mod tokens;
mod views;

pub use auth::{Caller, Revoked, Role, Tokens, hash as token_hash, new_token};
pub use server::serve;

use crate::apps::Apps;
use crate::blobs::Blobs;
use crate::plugins::Plugins;
use crate::scheduler::Scheduler;
use crate::secrets::Secrets;
use crate::store::Store;
use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All that the routes need. Clones share it.
#[derive(Clone)]
pub struct Api {
    /// Runs.
    pub scheduler: Scheduler,
    /// What is stored.
    pub store: Store,
    /// Artifacts.
    pub blobs: Blobs,
    /// Releases.
    pub apps: Apps,
    /// Plugins.
    pub plugins: Plugins,
    /// Secrets.
    pub secrets: Secrets,
    /// Who may.
    pub tokens: Tokens,
}

/// The document's head; paths and schemas come from the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Slipway",
        description = "Triggers pipelines, tells what became of them, and moves releases.\n\n\
            Every request but those for `/healthz`, `/readyz` and `/openapi.json` carries \
            `Authorization: Bearer <token>`. Errors are problems by RFC 9457; fields and query \
            keys that are not told here are refused. Lists go on with `next`. Streams are server-sent events that resume from `Last-Event-ID`."
    ),
    modifiers(&Security),
    security(("token" = []))
)]
struct Document;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(pipelines::list_pipelines))
        .routes(routes!(pipelines::put_pipeline, pipelines::get_pipeline))
        .routes(routes!(pipelines::check_pipeline))
        .routes(routes!(runs::create_run, runs::list_pipeline_runs))
        .routes(routes!(runs::list_runs))
        .routes(routes!(runs::get_run))
        .routes(routes!(runs::cancel_run))
        .routes(routes!(events::stream_events))
        .routes(routes!(logs::get_logs))
        .routes(routes!(logs::stream_logs))
        .routes(routes!(artifacts::list_artifacts))
        .routes(routes!(artifacts::get_artifact))
        .routes(routes!(reports::get_reports))
        .routes(routes!(apps::list_apps))
        .routes(routes!(apps::list_releases))
        .routes(routes!(apps::roll_back))
        .routes(routes!(plugins::list_plugins))
}

/// What only an admin may do.
fn admin_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default()
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(secrets::list_secrets))
        .routes(routes!(secrets::put_secret, secrets::remove_secret))
        .routes(routes!(secrets::rotate_keys))
        .routes(routes!(audit::list_audit))
}

/// What anybody may ask; served by `service` without the check of a token.
fn open_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(service::healthy)).routes(routes!(service::ready))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().merge(admin_routes()).merge(open_routes()).into_openapi();
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        operations.into_iter().flatten().for_each(problem::as_problems);
    }
    document
}

/// Puts the check of a worker's token before the routes of workers.
pub fn guard_worker(routes: Router, tokens: Tokens) -> Router {
    routes.layer(axum::middleware::from_fn_with_state(tokens, auth::require_worker))
}

/// The routes of the API, with the check of the caller before them.
pub fn router(api: Api) -> Router {
    let document = openapi();
    let contract = contract::Contract::new(&document);
    let keep = axum::middleware::from_fn_with_state(contract, contract::keep);
    let (user, _) = routes().split_for_parts();
    let (admin, _) = admin_routes().split_for_parts();
    let guard_user = axum::middleware::from_fn_with_state(api.tokens.clone(), auth::require_user);
    let guard_admin = axum::middleware::from_fn_with_state(api.tokens.clone(), auth::require_admin);
    // The last layer comes first: who calls is asked before what is wrong with the call.
    let guarded = user.layer(keep.clone()).layer(guard_user).merge(admin.layer(keep).layer(guard_admin));
    let document = serde_json::to_string_pretty(&document).unwrap_or_default();
    Router::new()
        .merge(guarded.layer(axum::middleware::from_fn(extract::refuse_large)))
        .merge(service::router(api.clone(), document))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .with_state(api)
}
