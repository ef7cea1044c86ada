//! Pipelines: repositories that the server knows by name.

use super::Api;
use super::extract::{Body, Path, Query};
use super::problem::Problem;
use super::runs::{reference, tier};
use crate::clock;
use crate::git::Location;
use crate::store::Write;
use crate::store::rows::PipelineRow;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use slipway_domain::PipelineName;
use slipway_domain::check::Row;
use slipway_domain::grant::{Refusal, Tier};
use utoipa::{IntoParams, ToSchema};

/// A pipeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PipelineView {
    /// Its name, which its file repeats.
    name: String,
    /// The address of its repository.
    repository: String,
    /// When it was added.
    created_at: String,
}

impl From<PipelineRow> for PipelineView {
    fn from(row: PipelineRow) -> Self {
        Self { name: row.name, repository: row.repository, created_at: clock::text(row.created_at) }
    }
}

/// All pipelines.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PipelineList {
    /// The pipelines, by name.
    pipelines: Vec<PipelineView>,
}

/// Lists the pipelines.
#[utoipa::path(get, path = "/v1/pipelines", tag = "pipelines",
    responses((status = 200, body = PipelineList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_pipelines(State(api): State<Api>) -> Result<Json<PipelineList>, Problem> {
    let pipelines = api.store.pipelines().await?.into_iter().map(Into::into).collect();
    Ok(Json(PipelineList { pipelines }))
}

/// Where a pipeline's repository is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutPipeline {
    /// An absolute path on the server, or an `https`, `http` or `ssh` URL.
    repository: String,
}

/// Adds a pipeline, or gives it another repository. The repository has to be there.
#[utoipa::path(put, path = "/v1/pipelines/{pipeline}", tag = "pipelines",
    params(("pipeline" = String, Path, description = "a-z, 0-9 and `-`")), request_body = PutPipeline,
    responses((status = 200, body = PipelineView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn put_pipeline(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
    Body(body): Body<PutPipeline>,
) -> Result<(StatusCode, Json<PipelineView>), Problem> {
    let name = name(pipeline)?;
    let location = Location::parse(&body.repository)
        .map_err(|error| Problem::bad_request("invalid-repository", error.to_string()))?;
    api.scheduler.git().check(&location).await?;
    let created_at = api.store.pipeline(name.as_str()).await?.map_or_else(clock::now, |row| row.created_at);
    let row = PipelineRow { name: name.to_string(), repository: location.to_string(), created_at };
    api.store.try_commit(vec![Write::Pipeline(row.clone())]).await?;
    Ok((StatusCode::OK, Json(row.into())))
}

/// Shows a pipeline.
#[utoipa::path(get, path = "/v1/pipelines/{pipeline}", tag = "pipelines", params(("pipeline" = String, Path)),
    responses((status = 200, body = PipelineView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn get_pipeline(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
) -> Result<Json<PipelineView>, Problem> {
    let name = name(pipeline)?;
    let row = api.store.pipeline(name.as_str()).await?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::missing("pipeline", name.as_str()))
}

/// Which ref to check.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckQuery {
    /// A branch, a tag or a commit.
    reference: String,
    /// The trust tier to check it for: `untrusted`, `trusted` or `protected`, which it is without a word.
    tier: Option<String>,
}

/// What a check has found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CheckView {
    /// The commit.
    revision: String,
    /// The full name of the ref, or the commit.
    reference: String,
    /// The trust tier that it was checked for.
    tier: String,
    /// Each stage with its plugin and what it may do.
    stages: Vec<CheckedStage>,
    /// What the pipeline grants, and what becomes of it in each tier.
    table: Vec<TableRow>,
}

/// A capability that a stage is granted by the pipeline.
#[derive(Debug, Serialize, ToSchema)]
struct TableRow {
    /// The stage.
    stage: String,
    /// The interface, such as `tools`.
    interface: String,
    /// What of it, such as `rust` or `GET https://example.com/`.
    capability: String,
    /// Who refuses it.
    refused: RefusedByTier,
}

/// Who refuses a capability in each tier; `null` where it is granted.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedByTier {
    untrusted: Option<Refused>,
    trusted: Option<Refused>,
    protected: Option<Refused>,
}

/// Why a capability is refused in a tier.
#[derive(Debug, Serialize, ToSchema)]
struct Refused {
    /// `policy`, `tier`, `not-imported`, `not-requested`, `not-configured` or `alone`.
    by: String,
    /// The line of the operator's policy that would allow it, when that is what is in its way.
    allowed_by: Option<String>,
}

impl From<&Row> for TableRow {
    fn from(row: &Row) -> Self {
        let refused = |tier: Tier| {
            row.by_tier.get(&tier).copied().flatten().map(|refusal| Refused {
                by: refusal.as_str().to_owned(),
                allowed_by: matches!(refusal, Refusal::Policy(_)).then(|| row.capability.policy_line()),
            })
        };
        Self {
            stage: row.stage.to_string(),
            interface: row.capability.interface().to_string(),
            capability: row.capability.text(),
            refused: RefusedByTier {
                untrusted: refused(Tier::Untrusted),
                trusted: refused(Tier::Trusted),
                protected: refused(Tier::Protected),
            },
        }
    }
}

/// A stage in which nothing is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct CheckedStage {
    /// Its name.
    name: String,
    /// `build`, `test` or `deploy`.
    kind: String,
    /// The plugin, as `name@version`.
    plugin: String,
    /// The digest of the plugin's component.
    plugin_digest: String,
    /// The stages it needs.
    needs: Vec<String>,
    /// What it may do, as `interface:name`.
    grants: Vec<String>,
    /// Whether it would run for this ref.
    runs: bool,
}

/// Checks a pipeline at a ref, without running anything of it. What is wrong comes as a
/// problem with its `diagnostics`.
#[utoipa::path(get, path = "/v1/pipelines/{pipeline}/check", tag = "pipelines",
    params(("pipeline" = String, Path), CheckQuery),
    responses((status = 200, body = CheckView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn check_pipeline(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
    Query(query): Query<CheckQuery>,
) -> Result<Json<CheckView>, Problem> {
    let tier = tier(query.tier.as_deref())?;
    let report = api.scheduler.check(&name(pipeline)?, &reference(query.reference)?, tier).await?;
    let checked = &report.pipeline.checked;
    let stages = checked.definition.stages.iter().filter_map(|stage| {
        let facts = checked.stages.get(&stage.name)?;
        Some(CheckedStage {
            name: stage.name.to_string(),
            kind: facts.plugin.kind.to_string(),
            plugin: format!("{}@{}", facts.plugin.name, facts.plugin.version),
            plugin_digest: facts.digest.to_string(),
            needs: stage.needs.iter().map(ToString::to_string).collect(),
            grants: facts.grants.iter().map(|grant| format!("{}:{}", grant.interface(), grant.text())).collect(),
            runs: stage.when.holds(&report.resolved.reference),
        })
    });
    Ok(Json(CheckView {
        revision: report.resolved.revision.to_string(),
        reference: report.resolved.full_name(),
        tier: tier.as_str().to_owned(),
        stages: stages.collect(),
        table: report.pipeline.table.iter().map(Into::into).collect(),
    }))
}

pub(super) fn name(text: String) -> Result<PipelineName, Problem> {
    PipelineName::new(text).map_err(|error| Problem::bad_request("invalid-name", error.to_string()))
}
