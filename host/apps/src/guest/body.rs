//! Bodies on their way through: a request's is capped, an answer's keeps its guest running.

use crate::guest::fault::Fault;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// How much of a refused body is still read, in bytes: a client that is cut off while it
/// sends does not see the answer.
const LINGER_BYTES_MAX: u64 = 16 << 20;
/// How long a refused body is still read.
const LINGER: Duration = Duration::from_secs(5);

/// A request's body that ends in an error once it is too large.
pub(crate) struct Capped<B: Body<Data = Bytes> + Send + Unpin + 'static> {
    inner: Option<B>,
    bytes_max: u64,
    left: u64,
    passed: Arc<AtomicBool>,
}

impl<B: Body<Data = Bytes> + Send + Unpin + 'static> Capped<B> {
    /// A body of at most `bytes_max` bytes; `passed` is set when it has more.
    pub(crate) fn new(inner: B, bytes_max: u64, passed: Arc<AtomicBool>) -> Self {
        Self { inner: Some(inner), bytes_max, left: bytes_max, passed }
    }
}

impl<B> Body for Capped<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(left) = self.left.checked_sub(bytes) else {
            self.passed.store(true, Ordering::Relaxed);
            if let Some(inner) = self.inner.take() {
                linger(inner);
            }
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.bytes_max)))));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// Reads on for a while, and throws away what comes.
pub(crate) fn linger<B: Body<Data = Bytes> + Send + Unpin + 'static>(mut body: B) {
    let _detached = tokio::spawn(tokio::time::timeout(LINGER, async move {
        let mut left = LINGER_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => return,
            }
        }
    }));
}

/// The body of an app's answer. Dropped before its end, it ends the guest; a guest that
/// breaks off breaks the answer off, so that nobody takes a part for the whole.
pub(crate) struct Answer {
    inner: HyperOutgoingBody,
    guest: Option<AbortOnDropHandle<Result<(), Fault>>>,
    broken: Arc<AtomicBool>,
    bytes: u64,
    complete: Complete,
}

/// What makes an answer complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complete {
    /// It is.
    Now,
    /// So many bytes.
    At(u64),
    /// The guest says so.
    AtEnd,
}

impl Answer {
    /// The body of an answer with this status and these headers to a request of this method.
    pub(crate) fn new(
        inner: HyperOutgoingBody,
        guest: AbortOnDropHandle<Result<(), Fault>>,
        broken: Arc<AtomicBool>,
        head: (&Method, StatusCode, &HeaderMap),
    ) -> Self {
        let (method, status, headers) = head;
        let bodiless = *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let complete = match length {
            _ if bodiless => Complete::Now,
            Some(0) => Complete::Now,
            Some(bytes) => Complete::At(bytes),
            None => Complete::AtEnd,
        };
        Self { inner, guest: Some(guest), broken, bytes: 0, complete }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            // The channel ends in the same way when the Store is gone.
            None if self.broken.load(Ordering::Acquire) && self.complete != Complete::Now => {
                return Poll::Ready(Some(Err(Error::HttpResponseIncomplete)));
            }
            None => self.complete = Complete::Now,
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if self.complete == Complete::At(self.bytes) || frame.is_trailers() {
                    self.complete = Complete::Now;
                }
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // After a whole answer the guest may finish its work, within its time.
        if let Some(guest) = self.guest.take()
            && self.complete == Complete::Now
        {
            drop(guest.detach());
        }
    }
}
