//! The one client by which stages reach the network: one request, one answer, within bounds.
//!
//! It knows nothing of grants. What it keeps to itself is where a name leads: an address that may not
//! be reached is not connected to, whatever name it has, and a connection is only ever used again for
//! the same name.

mod resolve;

use crate::blobs::Blobs;
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, Method, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use resolve::{Refused, Resolver};
use slipway_domain::Digest;
use slipway_domain::address::Reach;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// The largest body of an answer, in bytes.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The most headers of an answer.
const HEADERS_MAX: usize = 128;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name leads to an address that may not be reached, or is one.
    #[error("`{host}` leads to {address}, which is of a private network")]
    Address {
        /// The host.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// No connection, or one that broke.
    #[error("`{host}` cannot be reached: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        why: String,
    },
    /// The answer is larger than it may be.
    #[error("the answer of `{host}` is larger than {} MiB", BODY_BYTES_MAX >> 20)]
    TooLarge {
        /// The host.
        host: String,
    },
    /// The artifact that was to be sent cannot be read.
    #[error("the artifact cannot be read: {0}")]
    Artifact(String),
}

/// A body.
#[derive(Debug, Clone)]
pub enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// A blob.
    Blob(Digest),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub uri: Uri,
    /// The headers, but for those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

type BoxedBody = UnsyncBoxBody<Bytes, io::Error>;

/// The client. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    client: legacy::Client<HttpsConnector<HttpConnector<Resolver>>, BoxedBody>,
    reach: Reach,
    blobs: Blobs,
}

impl Client {
    /// A client that reaches these addresses, and sends blobs of these.
    pub fn new(reach: Reach, blobs: Blobs) -> io::Result<Self> {
        Self::with(Resolver::new(reach.clone()), reach, blobs)
    }

    fn with(resolver: Resolver, reach: Reach, blobs: Blobs) -> io::Result<Self> {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(8)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            // What a connection broke on may have been acted upon.
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { client, reach, blobs })
    }

    /// Sends a request and reads the whole answer. Takes as long as it takes: the caller has the time.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let Request { method, uri, headers, body } = request;
        let host = uri.host().unwrap_or_default().to_owned();
        // An address is not asked of the resolver.
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>()
            && !self.reach.allows(address)
        {
            return Err(Error::Address { host, address });
        }
        let mut sent = http::Request::new(self.body(body).await?);
        (*sent.method_mut(), *sent.uri_mut(), *sent.headers_mut()) = (method, uri, headers);
        let answer = self.client.request(sent).await.map_err(|error| unreachable(&host, &error))?;
        let (head, body) = answer.into_parts();
        let mut bytes = Vec::new();
        let mut frames = std::pin::pin!(body.into_data_stream());
        while let Some(piece) = frames.try_next().await.map_err(|error| unreachable(&host, &error))? {
            if bytes.len() + piece.len() > BODY_BYTES_MAX {
                return Err(Error::TooLarge { host });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body: bytes })
    }

    async fn body(&self, body: Body) -> Result<BoxedBody, Error> {
        match body {
            Body::Bytes(bytes) => Ok(Full::new(bytes).map_err(|never| match never {}).boxed_unsync()),
            Body::Blob(digest) => {
                let found = self.blobs.get(&digest).await.map_err(|error| Error::Artifact(error.to_string()))?;
                let (size, stream) = found.ok_or_else(|| Error::Artifact("it is not stored any more".into()))?;
                let frames = stream.map_ok(Frame::data).map_err(io::Error::other);
                Ok(Sized { size, stream: Box::pin(frames) }.boxed_unsync())
            }
        }
    }
}

/// A stream whose length is known, so that it is not sent in chunks.
struct Sized<S> {
    size: u64,
    stream: std::pin::Pin<Box<S>>,
}

impl<S: Stream<Item = io::Result<Frame<Bytes>>>> hyper::body::Body for Sized<S> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<io::Result<Frame<Bytes>>>> {
        std::pin::pin!(StreamBody::new(self.get_mut().stream.as_mut())).poll_frame(context)
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.size)
    }
}

/// What went wrong on the way, with the causes.
fn unreachable(host: &str, error: &(dyn StdError + 'static)) -> Error {
    let mut why = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // The connector hands on the resolver's error within one of its own, by `io::Error`.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let refused = error.downcast_ref::<Refused>().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(Refused { address }) = refused {
            return Error::Address { host: host.to_owned(), address: *address };
        }
        why.push(error.to_string());
        next = error.source();
    }
    // The outer ones only say that something failed.
    let why = why.pop().unwrap_or_default();
    Error::Unreachable { host: host.to_owned(), why }
}

#[cfg(test)]
pub(crate) mod tests;
