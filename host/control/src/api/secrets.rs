//! Secrets: set, listed, removed. A value goes in, and never out.

use super::Api;
use super::auth::Caller;
use super::extract::{Body, Path, Query};
use super::pipelines::name;
use super::problem::Problem;
use crate::clock;
use crate::secrets::{Address, BYTES_MIN, Error, VALUE_BYTES_MAX};
use crate::store::rows::SecretRow;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use slipway_domain::{PipelineName, SecretName};
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

/// A secret, without its value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretView {
    /// Its name.
    name: String,
    /// The environment that it is for; `null` for all of the pipeline.
    environment: Option<String>,
    /// Which value it is, from 1.
    version: u64,
    /// When it was set.
    changed_at: String,
    /// Who set it: the name of a token.
    changed_by: String,
}

impl From<SecretRow> for SecretView {
    fn from(row: SecretRow) -> Self {
        Self {
            name: row.address.name.to_string(),
            environment: row.address.environment,
            version: row.version,
            changed_at: clock::text(row.changed_at),
            changed_by: row.changed_by,
        }
    }
}

/// The secrets of a pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretList {
    /// The secrets, by environment and name.
    secrets: Vec<SecretView>,
}

/// A value to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutSecret {
    /// The value: 1 to 65,536 bytes.
    #[schema(write_only)]
    value: String,
}

/// A secret that was set just now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretSet {
    /// Its name.
    name: String,
    /// The environment that it is for; `null` for all of the pipeline.
    environment: Option<String>,
    /// Which value it is, from 1.
    version: u64,
    /// Whether it is masked in logs: one of less than 8 bytes is not, since it would stand there by
    /// chance.
    is_masked: bool,
}

/// For which environment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EnvironmentQuery {
    /// An environment; without it the secret is for all of the pipeline.
    environment: Option<String>,
}

/// How many secrets have changed their key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rotated {
    /// How many.
    secrets: usize,
}

fn address(pipeline: String, secret: String, query: EnvironmentQuery) -> Result<Address, Problem> {
    let invalid = |error: slipway_domain::name::InvalidName| Problem::bad_request("invalid-name", error.to_string());
    let environment = query.environment.map(|environment| {
        // Of the form of the other names that people give.
        PipelineName::new(environment)
            .map(|name| name.to_string())
            .map_err(|error| slipway_domain::name::InvalidName { kind: "an environment", ..error })
    });
    Ok(Address {
        pipeline: name(pipeline)?,
        environment: environment.transpose().map_err(invalid)?,
        name: SecretName::new(secret).map_err(invalid)?,
    })
}

/// Lists the secrets of a pipeline, without their values. Takes a token of role `admin`.
#[utoipa::path(get, path = "/v1/pipelines/{pipeline}/secrets", tag = "secrets", params(("pipeline" = String, Path)),
    responses((status = 200, body = SecretList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_secrets(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
) -> Result<Json<SecretList>, Problem> {
    let secrets = api.secrets.list(&name(pipeline)?).await?.into_iter().map(Into::into).collect();
    Ok(Json(SecretList { secrets }))
}

/// Sets a secret, or gives it another value. Takes a token of role `admin`.
#[utoipa::path(put, path = "/v1/pipelines/{pipeline}/secrets/{secret}", tag = "secrets",
    params(("pipeline" = String, Path), ("secret" = String, Path, description = "a-z, 0-9 and `-`"), EnvironmentQuery),
    request_body = PutSecret,
    responses((status = 200, body = SecretSet), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn put_secret(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path((pipeline, secret)): Path<(String, String)>,
    Query(query): Query<EnvironmentQuery>,
    Body(body): Body<PutSecret>,
) -> Result<Json<SecretSet>, Problem> {
    let value = Zeroizing::new(body.value);
    let row = api.secrets.set(address(pipeline, secret, query)?, value.as_bytes(), &caller.0).await?;
    // A check may have missed it.
    api.scheduler.forget_checks();
    Ok(Json(SecretSet {
        name: row.address.name.to_string(),
        environment: row.address.environment,
        version: row.version,
        is_masked: value.len() >= BYTES_MIN,
    }))
}

/// Removes a secret. Takes a token of role `admin`.
#[utoipa::path(delete, path = "/v1/pipelines/{pipeline}/secrets/{secret}", tag = "secrets",
    params(("pipeline" = String, Path), ("secret" = String, Path), EnvironmentQuery),
    responses((status = 200, body = SecretView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn remove_secret(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path((pipeline, secret)): Path<(String, String)>,
    Query(query): Query<EnvironmentQuery>,
) -> Result<Json<SecretView>, Problem> {
    let removed = api.secrets.remove(&address(pipeline, secret, query)?, &caller.0).await?;
    api.scheduler.forget_checks();
    Ok(Json(removed.into()))
}

/// Puts all secrets under a new key of the server's, and throws the old one away. Takes a token of role
/// `admin`.
#[utoipa::path(post, path = "/v1/secrets/rotate", tag = "secrets",
    responses((status = 200, body = Rotated), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn rotate_keys(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Rotated>, Problem> {
    Ok(Json(Rotated { secrets: api.secrets.rotate(&caller.0).await? }))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unknown(name) => Self::missing("secret", name.as_str()),
            Error::UnknownPipeline(name) => Self::missing("pipeline", name.as_str()),
            Error::Size(_) => Self::bad_request("invalid-value", text)
                .field("value")
                .hint(format!("keep what has more than {VALUE_BYTES_MAX} bytes elsewhere, and a key to it here")),
            Error::TooMany => Self::new(StatusCode::CONFLICT, "too-many", text),
            Error::Vault(error) => Self::internal(&error),
            Error::Store(error) => error.into(),
            Error::Read(error) => error.into(),
        }
    }
}
