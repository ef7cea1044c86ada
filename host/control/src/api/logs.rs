//! Logs: by pages, and live.

use super::Api;
use super::auth::Revoked;
use super::events::{follow, last_event_id};
use super::extract::{Path, Query};
use super::problem::Problem;
use super::runs::known;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use slipway_domain::RunId;
use slipway_domain::check::list;
use std::collections::BTreeMap;
use std::convert::Infallible;
use utoipa::{IntoParams, ToSchema};

/// The most entries of a page, which [`LogQuery`] repeats.
const PAGE: usize = 1_000;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Only those of this stage.
    stage: Option<String>,
    /// Only those after this number.
    after: Option<u64>,
    /// How many, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Which entries of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamQuery {
    /// Only those of this stage.
    stage: Option<String>,
    /// Only those after this number.
    after: Option<u64>,
}

/// A page of a log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogView {
    /// The entries.
    #[schema(value_type = Vec<LogEntryView>)]
    entries: Vec<serde_json::Value>,
    /// The `after` of the next page; nothing when there is no more for now.
    next: Option<u64>,
}

/// One entry of a log. Whatever a stage has written is text and nothing else.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape of what the store holds as JSON, for the document")]
pub(super) struct LogEntryView {
    /// Its number in the run, from 1.
    seq: u64,
    /// When it was written.
    at: String,
    /// The stage.
    stage: String,
    /// The phase.
    phase: String,
    /// The attempt at it.
    attempt: u32,
    /// Who wrote it: `stage`, `stdout`, `stderr`, a tool as `tool:cargo`, or `host`.
    source: String,
    /// `debug`, `info`, `warn` or `error`; for steps `step`, `progress`, `done` or `failed`.
    level: String,
    /// The text.
    message: String,
    /// More facts.
    fields: Option<BTreeMap<String, String>>,
}

/// Reads a run's log.
#[utoipa::path(get, path = "/v1/runs/{run}/logs", tag = "logs", params(("run" = String, Path), LogQuery),
    responses((status = 200, body = LogView), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn get_logs(
    State(api): State<Api>,
    Path(run): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogView>, Problem> {
    let id = known(&api, &run).await?;
    check_stage(&api, &id, query.stage.as_deref()).await?;
    let limit = query.limit.unwrap_or(PAGE);
    let page = api.store.log(id.as_str(), query.stage.as_deref(), query.after.unwrap_or(0), limit).await?;
    let last = page.entries.last().and_then(|entry| entry.get("seq")).and_then(serde_json::Value::as_u64);
    let next = last.filter(|_| page.more);
    Ok(Json(LogView { entries: page.entries, next }))
}

/// Refuses a stage that the run does not have.
async fn check_stage(api: &Api, run: &RunId, stage: Option<&str>) -> Result<(), Problem> {
    let Some(stage) = stage else { return Ok(()) };
    let stages = api.store.stages(run.as_str()).await?;
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    if names.contains(&stage) {
        return Ok(());
    }
    let problem = Problem::missing("stage", stage).field("stage");
    Err(problem.hint(format!("the stages of this run are {}", list(&names))))
}

/// Streams a run's log, from its beginning or from `Last-Event-ID`, until the run ends. Each
/// event's data is an entry; the last event is `end`.
#[utoipa::path(get, path = "/v1/runs/{run}/logs/stream", tag = "logs", params(("run" = String, Path), StreamQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "goes on after the entry of this `id`")),
    responses((status = 200, description = "server-sent events", content_type = "text/event-stream", body = String),
        (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn stream_logs(
    State(api): State<Api>,
    Extension(revoked): Extension<Revoked>,
    Path(run): Path<String>,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let id = known(&api, &run).await?;
    check_stage(&api, &id, query.stage.as_deref()).await?;
    let after = last_event_id(&headers)?.max(query.after.unwrap_or(0));
    let entries = follow(api, id.to_string(), after, revoked, move |api, run, after| {
        let stage = query.stage.clone();
        async move {
            let page = api.store.log(&run, stage.as_deref(), after, PAGE).await?;
            Ok(page
                .entries
                .into_iter()
                .map(|entry| {
                    let seq = entry.get("seq").and_then(serde_json::Value::as_u64).unwrap_or(after);
                    (seq, Event::default().id(seq.to_string()).event("entry").data(entry.to_string()))
                })
                .collect())
        }
    });
    Ok(Sse::new(entries).keep_alive(KeepAlive::default()))
}
