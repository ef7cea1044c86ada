//! Extractors whose refusals are problems.

use super::problem::Problem;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use std::time::Duration;

/// The largest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a body may take to arrive.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How much of a body that is too large is read and thrown away, so that its sender is
/// there to hear why it is refused. Whoever sends more is cut off.
const DRAINED_BYTES_MAX: usize = 16 << 20;

/// Refuses a body that says that it is too large.
pub(super) async fn refuse_large(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|text| text.parse::<usize>().ok()).is_none_or(|length| length <= BODY_BYTES_MAX) {
        return next.run(request).await;
    }
    let mut body = request.into_body().into_data_stream();
    let drain = async {
        let mut read = 0;
        while let Some(Ok(piece)) = body.next().await {
            read += piece.len();
            if read > DRAINED_BYTES_MAX {
                break;
            }
        }
    };
    // Whoever drips is told sooner.
    let _drained = tokio::time::timeout(BODY_TIME_MAX, drain).await.is_ok();
    Problem::body_too_large().into_response()
}

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(super) struct Body<T>(pub(super) T);

/// Parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct Path<T>(pub(super) T);

/// Parts of the query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct Query<T>(pub(super) T);

// The contract is kept before any handler, so what follows is not seen as a rule; where it
// is, it tells no more than what it is about.

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        tracing::debug!(%rejection, "a body was refused");
        Self::bad_request("invalid-body", "the body does not have the fields of this request, each once")
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        tracing::debug!(%rejection, "an address was refused");
        Self::bad_request("invalid-path", "a part of the address is no text")
            .hint("encode names in the address as UTF-8 with `%`")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        tracing::debug!(%rejection, "a query was refused");
        Self::bad_request("invalid-query", "the query does not have the keys of this request, each once")
    }
}
