//! Runs: trigger, list, show, cancel.

use super::Api;
use super::auth::{Caller, Revoked};
use super::extract::{Body, Path, Query};
use super::pipelines::name;
use super::problem::Problem;
use super::views::RunView;
use crate::scheduler::RunRequest;
use crate::store::RunFilter;
use crate::store::rows::RunRow;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use slipway_domain::RunId;
use slipway_domain::grant::Tier;
use slipway_domain::run::InvalidTransition;
use slipway_domain::text::is_deceptive;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// The header that makes a repeated request count once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// How many runs a page has when the caller does not say. The most stands at [`ListQuery`].
const PAGE: u32 = 50;

/// What to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRun {
    /// A branch, a tag or a commit.
    reference: String,
    /// Parameters for the stages.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// How far the run is trusted at most: `untrusted`, `trusted` or `protected`. A lower trust than
    /// that of the commit shows what a fork's run may do.
    #[serde(default)]
    tier: Option<String>,
}

/// Starts a run of a pipeline.
///
/// The answer comes once the run is stored: from then on it ends, whatever happens to the
/// server meanwhile. With an `Idempotency-Key`, the same request again gives the same run.
#[utoipa::path(post, path = "/v1/pipelines/{pipeline}/runs", tag = "runs",
    params(("pipeline" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 200 visible characters, new for each wish")),
    request_body = CreateRun,
    responses((status = 202, body = RunView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn create_run(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(pipeline): Path<String>,
    headers: HeaderMap,
    Body(body): Body<CreateRun>,
) -> Result<(StatusCode, HeaderMap, Json<RunView>), Problem> {
    let request = RunRequest {
        pipeline: name(pipeline)?,
        reference: reference(body.reference)?,
        parameters: parameters(body.parameters)?,
        triggered_by: caller.0,
        idempotency_key: idempotency_key(&headers)?,
        tier: tier(body.tier.as_deref())?,
    };
    let id = api.scheduler.submit(request).await?;
    let run = show(&api, &id).await?;
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/runs/{id}")) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::ACCEPTED, headers, Json(run)))
}

/// A trust tier by its word; the highest without one.
pub(super) fn tier(word: Option<&str>) -> Result<Tier, Problem> {
    word.map_or(Some(Tier::Protected), Tier::parse).ok_or_else(|| {
        let words = Tier::ALL.map(|tier| format!("`{}`", tier.as_str())).join(", ");
        Problem::bad_request("invalid-tier", format!("there is no such trust tier: they are {words}"))
    })
}

/// A ref that reads as it is written. Git would take others; lists and logs would show them
/// as what they are not.
pub(super) fn reference(text: String) -> Result<String, Problem> {
    let Some(c) = text.chars().find(|c| is_deceptive(*c)) else { return Ok(text) };
    let shown: String = text.chars().take(100).flat_map(char::escape_debug).collect();
    let message = format!("`{shown}` is not the name of a branch or tag: it has the character {} in it", code_point(c));
    Err(Problem::bad_request("invalid-reference", message)
        .field("reference")
        .hint("give a name without control characters and without those that turn the direction of text"))
}

fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    if headers.get_all(IDEMPOTENCY_KEY).iter().count() > 1 {
        return Err(Problem::bad_request("invalid-idempotency-key", "there are several idempotency keys: send one"));
    }
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= 200 => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => {
            Err(Problem::bad_request("invalid-idempotency-key", "an idempotency key has 1 to 200 visible characters"))
        }
    }
}

fn parameters(parameters: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Problem> {
    let named = |name: &str| {
        !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    if let Some(name) = parameters.keys().find(|name| !named(name)) {
        let message = format!("`{}` cannot name a parameter: use letters, digits, `_` and `-`", name.escape_debug());
        return Err(Problem::bad_request("invalid-parameter", message));
    }
    let bytes: usize = parameters.iter().map(|(name, value)| name.len() + value.len()).sum();
    if parameters.len() > 64 || bytes > 64 << 10 {
        return Err(Problem::bad_request("invalid-parameter", "a run has at most 64 parameters and 64 KiB of them"));
    }
    Ok(parameters)
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Goes on after the page that gave this as `next`.
    cursor: Option<String>,
    /// How many, at most 200; 50 when it is not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

impl ListQuery {
    /// The id to go on before, and how many.
    pub(super) fn page(self) -> Result<(Option<String>, u32), Problem> {
        let before = self.cursor.map(|cursor| id(&cursor).map(|id| id.to_string())).transpose()?;
        Ok((before, self.limit.unwrap_or(PAGE)))
    }
}

/// Cuts a list, of which one more than the limit was asked for, to a page. Returns the cursor
/// of the next one, if there is more.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: u32, id: impl Fn(&T) -> String) -> Option<String> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    rows.last().filter(|_| more).map(id)
}

/// A page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RunList {
    /// The runs, without their stages.
    runs: Vec<RunView>,
    /// The `cursor` of the next page; nothing on the last one.
    next: Option<String>,
}

/// Lists the runs of all pipelines.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(ListQuery),
    responses((status = 200, body = RunList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_runs(
    State(api): State<Api>,
    Query(query): Query<ListQuery>,
) -> Result<Json<RunList>, Problem> {
    list(&api, None, query).await
}

/// Lists the runs of a pipeline.
#[utoipa::path(get, path = "/v1/pipelines/{pipeline}/runs", tag = "runs", params(("pipeline" = String, Path), ListQuery),
    responses((status = 200, body = RunList), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list_pipeline_runs(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<RunList>, Problem> {
    let name = name(pipeline)?;
    if api.store.pipeline(name.as_str()).await?.is_none() {
        return Err(Problem::missing("pipeline", name.as_str()));
    }
    list(&api, Some(name.to_string()), query).await
}

async fn list(api: &Api, pipeline: Option<String>, query: ListQuery) -> Result<Json<RunList>, Problem> {
    let (before, limit) = query.page()?;
    let mut runs = api.store.runs(&RunFilter { pipeline, before, limit: limit + 1 }).await?;
    let next = cut(&mut runs, limit, |run| run.id.clone());
    Ok(Json(RunList { runs: runs.into_iter().map(RunView::brief).collect(), next }))
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Answer when the run has ended, or after so many seconds (at most 60).
    #[param(minimum = 0, maximum = 60)]
    wait_seconds: Option<u64>,
}

/// Shows a run with its stages. With `wait_seconds`, waits for its end.
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs", params(("run" = String, Path), WaitQuery),
    responses((status = 200, body = RunView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn get_run(
    State(api): State<Api>,
    Extension(Revoked(revoked)): Extension<Revoked>,
    Path(run): Path<String>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<RunView>, Problem> {
    let id = id(&run)?;
    if let Some(seconds) = query.wait_seconds {
        tokio::select! {
            waited = wait(&api, &id, Duration::from_secs(seconds)) => waited?,
            () = revoked.cancelled() => return Err(Problem::unauthorized("this token was revoked meanwhile")),
        }
    }
    Ok(Json(show(&api, &id).await?))
}

/// Waits until a run has ended, as far as is durable, or the time is over.
async fn wait(api: &Api, id: &RunId, time: Duration) -> Result<(), Problem> {
    let until = tokio::time::Instant::now() + time;
    let mut news = api.scheduler.changes().listen(id.as_str());
    loop {
        let run = find(api, id).await?;
        if run.ended_at.is_some() {
            return Ok(());
        }
        if tokio::time::timeout_at(until, news.changed()).await.is_err() {
            return Ok(());
        }
    }
}

/// Cancels a run. What runs of it is told to stop; a deployment that has begun is finished.
#[utoipa::path(post, path = "/v1/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = RunView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn cancel_run(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
) -> Result<(StatusCode, Json<RunView>), Problem> {
    let id = known(&api, &run).await?;
    let cancelled = match api.scheduler.cancel(&id, &caller.0) {
        Ok(cancelled) => cancelled,
        // It is stored, and is just being taken up.
        Err(InvalidTransition::RunEnded) if find(&api, &id).await?.ended_at.is_none() => {
            let problem =
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-yet", format!("run `{id}` is just beginning"));
            return Err(problem.hint("try again in a moment"));
        }
        Err(error) => {
            let detail = format!("run `{id}` is not cancelled: {error}");
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
    };
    // The answer shows the run as cancelled, so it waits until that is durable.
    cancelled.durable().await?;
    Ok((StatusCode::ACCEPTED, Json(show(&api, &id).await?)))
}

async fn show(api: &Api, id: &RunId) -> Result<RunView, Problem> {
    Ok(RunView::load(&api.scheduler, find(api, id).await?).await?)
}

async fn find(api: &Api, id: &RunId) -> Result<RunRow, Problem> {
    api.store.run(id.as_str()).await?.ok_or_else(|| Problem::missing("run", id.as_str()))
}

/// The id of a run that is there.
pub(super) async fn known(api: &Api, text: &str) -> Result<RunId, Problem> {
    let id = id(text)?;
    find(api, &id).await.map(|_| id)
}

pub(super) fn id(text: &str) -> Result<RunId, Problem> {
    RunId::new(text).map_err(|error| Problem::bad_request("invalid-id", error.to_string()))
}
