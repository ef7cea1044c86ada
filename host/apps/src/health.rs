//! How a release is: asked directly, without a socket.

use crate::guest::{Call, Fault};
use crate::registry::Release;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use std::time::Duration;
use tokio::time::Instant;
use tracing::debug;

/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(5);
/// What is kept of an answer's body, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// What a health check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// The status, or 0 when there was no answer.
    pub(crate) status: u16,
    /// The start of the body, or why there was no answer.
    pub(crate) message: String,
    /// How long the answer took.
    pub(crate) time: Duration,
}

impl Health {
    /// Whether the release may get traffic.
    pub(crate) const fn is_healthy(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// Asks a release until one answer is healthy or the time is over, and returns the last
/// answer. Without time there is one try. The release remembers the result.
pub(crate) async fn check(release: &Release, path: &PathAndQuery, within: Duration) -> Health {
    let deadline = Instant::now() + within;
    let mut limit = if within.is_zero() { TRY_LIMIT } else { within.min(TRY_LIMIT) };
    loop {
        let health = ask(release, path, limit).await;
        let left = deadline.saturating_duration_since(Instant::now());
        if health.is_healthy() || left <= PAUSE {
            release.found(health.is_healthy());
            return health;
        }
        let identity = release.identity();
        debug!(app = %identity.app, release = %identity.release, status = health.status, reason = %health.message,
            "release `{}` is not healthy yet", identity.release);
        tokio::time::sleep(PAUSE).await;
        limit = (left - PAUSE).min(TRY_LIMIT);
    }
}

async fn ask(release: &Release, path: &PathAndQuery, limit: Duration) -> Health {
    let began = Instant::now();
    let result = tokio::time::timeout(limit, answer(release, path, limit)).await;
    let time = began.elapsed();
    match result {
        Ok(Ok((status, message))) => Health { status, message, time },
        Ok(Err(fault)) => Health { status: 0, message: fault.to_string(), time },
        Err(_elapsed) => Health { status: 0, message: Fault::Deadline(limit).to_string(), time },
    }
}

/// One GET. An answer that breaks off within what is kept of it is none.
async fn answer(release: &Release, path: &PathAndQuery, limit: Duration) -> Result<(u16, String), Fault> {
    let request = Request::get(path.as_str())
        .header(header::HOST, format!("{}.localhost", release.identity().app))
        .header(header::USER_AGENT, "slipway-health")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Fault::Host(error.to_string()))?;
    let call = Call { limit: Some(limit), visit: None };
    let (head, mut body) = release.handler.call(request, call).await?.into_parts();
    let mut kept = Vec::new();
    while kept.len() < MESSAGE_BYTES_MAX
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Fault::Refused("its answer broke off".into()))?;
        kept.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    Ok((head.status.as_u16(), text(kept)))
}

/// The start of a body as text of at most [`MESSAGE_BYTES_MAX`] bytes.
fn text(mut bytes: Vec<u8>) -> String {
    bytes.truncate(MESSAGE_BYTES_MAX);
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // What is cut in the middle of a character ends before it.
        Err(error) if error.utf8_error().error_len().is_none() => {
            let end = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(end);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    // A replacement character is longer than what it replaces.
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(text(b"ok".to_vec()), "ok");
        assert_eq!(text("é".repeat(600).into_bytes()).len(), 1_024);
        let odd = format!("x{}", "é".repeat(600)).into_bytes();
        assert_eq!(text(odd).len(), 1_023);
        assert!(text(vec![0xff; 2_000]).len() <= 1_024);
    }
}
