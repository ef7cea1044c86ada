//! The audit: what was done about grants and secrets, and what stages were refused.

use super::Api;
use super::extract::Query;
use super::problem::Problem;
use super::runs::cut;
use crate::clock;
use crate::store::{AuditFilter, AuditRecord};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How many entries a page has when the caller does not say.
const PAGE: u32 = 50;

/// An entry of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditView {
    /// Its number: later ones are higher.
    id: u64,
    /// When.
    at: String,
    /// Who: the name of a token, or `RUN/STAGE`.
    actor: String,
    /// What was done, such as `secret.set`, or the function that a stage called, such as `http.send`.
    action: String,
    /// To what; of a refusal what the stage was told.
    object: String,
    /// `done` or `refused`.
    outcome: String,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        let AuditRecord { id, at, actor, action, object, outcome } = record;
        Self { id, at: clock::text(at), actor, action, object, outcome }
    }
}

/// A page of the audit, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditList {
    /// The entries.
    entries: Vec<AuditView>,
    /// The `cursor` of the next page; nothing on the last one.
    next: Option<String>,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Goes on after the page that gave this as `next`.
    cursor: Option<u64>,
    /// How many, at most 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only `done`, or only `refused`.
    outcome: Option<String>,
    /// Only what stages of this run did.
    run: Option<String>,
}

/// Lists the audit. Takes a token of role `admin`.
///
/// Of the calls that a stage was refused, the first hundred are here; all are on the journal of the run.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_audit(
    State(api): State<Api>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditList>, Problem> {
    let limit = query.limit.unwrap_or(PAGE);
    let filter = AuditFilter { before: query.cursor, outcome: query.outcome, run: query.run, limit: limit + 1 };
    let mut records = api.store.audit(&filter).await.map_err(|error| Problem::internal(&error))?;
    let next = cut(&mut records, limit, |record| record.id.to_string());
    Ok(Json(AuditList { entries: records.into_iter().map(Into::into).collect(), next }))
}
