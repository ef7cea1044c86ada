//! A run's events as they become durable: server-sent events that resume.

use super::Api;
use super::auth::Revoked;
use super::extract::Path;
use super::problem::Problem;
use super::runs::known;
use crate::clock;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;

/// The header in which a client that comes back tells what it has.
const LAST_EVENT_ID: &str = "last-event-id";

/// The number of the last event that a client has, from `Last-Event-ID`; 0 without one.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<u64, Problem> {
    match headers.get(LAST_EVENT_ID).map(|value| value.to_str().ok().and_then(|text| text.parse().ok())) {
        None => Ok(0),
        Some(Some(last)) => Ok(last),
        Some(None) => Err(Problem::bad_request("invalid-last-event-id", "`Last-Event-ID` has to be a whole number")
            .hint("send the `id` of the last event that you have, or leave the header out")),
    }
}

/// A stream that asks for more whenever the run has news. `fetch` returns what comes after
/// a number, each with its own; the stream ends with the run, and when its reader's token is
/// revoked.
pub(super) fn follow<F, R>(
    api: Api,
    run: String,
    after: u64,
    Revoked(revoked): Revoked,
    fetch: F,
) -> impl Stream<Item = Result<Event, Infallible>>
where
    F: Fn(Api, String, u64) -> R + Send,
    R: Future<Output = Result<Vec<(u64, Event)>, sqlx::Error>> + Send,
{
    struct Following<F> {
        api: Api,
        run: String,
        after: u64,
        waiting: VecDeque<Event>,
        news: tokio::sync::watch::Receiver<()>,
        ended: bool,
        over: bool,
        fetch: F,
    }
    let news = api.scheduler.changes().listen(&run);
    let state = Following { api, run, after, waiting: VecDeque::new(), news, ended: false, over: false, fetch };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(event) = state.waiting.pop_front() {
                return Some((Ok(event), state));
            }
            if state.over {
                return None;
            }
            let found = (state.fetch)(state.api.clone(), state.run.clone(), state.after).await.ok()?;
            if let Some((last, _)) = found.last() {
                state.after = *last;
            } else if state.ended {
                state.over = true;
                state.waiting.push_back(Event::default().event("end").data("{}"));
            } else if state.api.store.run(&state.run).await.ok()?.is_none_or(|run| run.ended_at.is_some()) {
                // One more look, since the last events may have come after the one above.
                state.ended = true;
            } else if state.news.changed().await.is_err() {
                return None;
            }
            state.waiting.extend(found.into_iter().map(|(_, event)| event));
        }
    })
    .take_until(revoked.cancelled_owned())
}

/// Streams what happens to a run, from its beginning or from `Last-Event-ID`, until it ends.
/// The last event is `end`.
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "runs", params(("run" = String, Path),
        ("Last-Event-ID" = Option<u64>, Header, description = "goes on after the event of this `id`")),
    responses((status = 200, description = "server-sent events", content_type = "text/event-stream", body = String),
        (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn stream_events(
    State(api): State<Api>,
    Extension(revoked): Extension<Revoked>,
    Path(run): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let id = known(&api, &run).await?;
    let after = last_event_id(&headers)?;
    let events = follow(api, id.to_string(), after, revoked, |api, run, after| async move {
        let events = api.store.events(&run, after).await?;
        Ok(events
            .into_iter()
            .map(|(seq, at, record)| {
                let mut data = serde_json::to_value(&record).unwrap_or_default();
                if let Some(object) = data.as_object_mut() {
                    object.insert("at".into(), clock::text(at).into());
                }
                let name = data.get("event").and_then(serde_json::Value::as_str).unwrap_or("event").to_owned();
                (seq, Event::default().id(seq.to_string()).event(name).data(data.to_string()))
            })
            .collect())
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
