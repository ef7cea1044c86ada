//! Tokens: made, listed, revoked. A token itself is told once, and stored as its hash.

use super::Api;
use super::auth::{Role, Unmade};
use super::extract::{Body, Path};
use super::problem::Problem;
use crate::clock;
use crate::store::rows::TokenRow;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use slipway_domain::PipelineName;
use utoipa::ToSchema;

/// A token, without what is secret of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenView {
    /// Its name, which records give as who did something.
    name: String,
    /// What its holder may do: `admin`, `reader` or `worker`.
    role: String,
    /// When it was made.
    created_at: String,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        Self { name: row.name, role: row.role, created_at: clock::text(row.created_at) }
    }
}

/// All tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenList {
    /// The tokens, by name.
    tokens: Vec<TokenView>,
}

/// What the holder of a token may do: `admin` everything, `reader` look at everything but
/// tokens, `worker` take stages.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RoleWord {
    /// Everything.
    Admin,
    /// Look at everything but tokens, and change nothing.
    Reader,
    /// Take stages as a worker, and nothing else.
    Worker,
}

/// A token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// A name that no other token has: 1 to 40 of a-z, 0-9 and `-`.
    name: String,
    // Told at the type: a second description would hide its words in an `allOf`.
    role: RoleWord,
}

/// A token that was made just now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreatedToken {
    /// Its name.
    name: String,
    /// What its holder may do.
    role: String,
    /// The token itself. It is told here and nowhere else.
    token: String,
}

/// Lists the tokens, without what is secret of them. Takes a token of role `admin`.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens",
    responses((status = 200, body = TokenList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_tokens(State(api): State<Api>) -> Result<Json<TokenList>, Problem> {
    let tokens = api.store.tokens().await?.into_iter().map(Into::into).collect();
    Ok(Json(TokenList { tokens }))
}

/// Makes a token. Takes a token of role `admin`.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = CreatedToken), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn create_token(
    State(api): State<Api>,
    Body(body): Body<CreateToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    // The same rule as for the other names that people give.
    if PipelineName::new(&body.name).is_err() {
        let shown: String = body.name.chars().take(64).flat_map(char::escape_debug).collect();
        let message = format!("`{shown}` cannot name a token");
        return Err(Problem::bad_request("invalid-name", message)
            .field("name")
            .hint("use 1 to 40 characters of a-z, 0-9 and `-`, beginning and ending with a letter or digit"));
    }
    let role = match body.role {
        RoleWord::Admin => Role::Admin,
        RoleWord::Reader => Role::Reader,
        RoleWord::Worker => Role::Worker,
    };
    let token = api.tokens.make(&body.name, role).await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { name: body.name, role: role.as_str().to_owned(), token })))
}

/// Revokes a token, at once: a worker that holds it is cut off. Takes a token of role
/// `admin`; the last one of that role stays.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "the token's name")),
    responses((status = 200, body = TokenView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn revoke_token(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<TokenView>, Problem> {
    let revoked = api.tokens.revoke(&name).await?;
    if revoked.role == Role::Worker.as_str() {
        // A worker that is not trusted any more may have said anything.
        api.plugins.forget(&name).await?;
        api.scheduler.forget_checks();
    }
    Ok(Json(revoked.into()))
}

impl From<Unmade> for Problem {
    fn from(error: Unmade) -> Self {
        let text = error.to_string();
        match error {
            Unmade::Taken(_) => Self::new(StatusCode::CONFLICT, "name-taken", text)
                .hint("choose another name, or revoke that token first"),
            Unmade::LastAdmin(_) => {
                Self::new(StatusCode::CONFLICT, "last-admin", text).hint("make another token of role `admin` first")
            }
            Unmade::Unknown(name) => Self::missing("token", &name),
            Unmade::Store(error) => error.into(),
            Unmade::Read(error) => error.into(),
        }
    }
}
