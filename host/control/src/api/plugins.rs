//! The plugins that come with the server.

use super::Api;
use super::problem::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use slipway_domain::pin::capabilities;
use utoipa::ToSchema;

/// A plugin.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PluginView {
    /// Its name.
    name: String,
    /// Its version.
    version: Option<String>,
    /// `build`, `test` or `deploy`.
    kind: Option<String>,
    /// The digest of its component.
    digest: String,
    /// The size of its component, in bytes.
    size: Option<u64>,
    /// What it can touch: the interfaces it imports.
    imports: Vec<String>,
    /// What it can do and what it asks for, as `slipway.lock` holds it.
    capabilities: Vec<String>,
    /// The JSON Schema of `with`.
    #[schema(value_type = Object)]
    config_schema: Option<serde_json::Value>,
    /// Why it cannot be used.
    unusable: Option<String>,
}

/// All plugins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PluginList {
    /// The plugins.
    plugins: Vec<PluginView>,
}

/// Lists the plugins that come with the server.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins",
    responses((status = 200, body = PluginList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_plugins(State(api): State<Api>) -> Result<Json<PluginList>, Problem> {
    let list = api.plugins.list().await.map_err(|error| Problem::internal(&error))?;
    let plugins = list.into_iter().map(|(name, digest, facts)| match facts.as_ref() {
        Ok(facts) => PluginView {
            name: facts.plugin.name.clone(),
            version: Some(facts.plugin.version.clone()),
            kind: Some(facts.plugin.kind.to_string()),
            digest: digest.to_string(),
            size: Some(facts.size),
            capabilities: capabilities(&facts.plugin).into_iter().collect(),
            imports: facts.plugin.imports.iter().map(ToString::to_string).collect(),
            config_schema: Some(facts.config_schema.clone()),
            unusable: None,
        },
        Err(reason) => PluginView {
            name,
            version: None,
            kind: None,
            digest: digest.to_string(),
            size: None,
            capabilities: Vec::new(),
            imports: Vec::new(),
            config_schema: None,
            unusable: Some(reason.clone()),
        },
    });
    Ok(Json(PluginList { plugins: plugins.collect() }))
}
