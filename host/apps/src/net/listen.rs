//! The accept loop: a bounded number of connections, each with its limits, and an end that
//! lets requests finish.

use crate::net::stall::Stalling;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long a client may take none of what is sent to it.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long requests may take to end once the host stops.
const GRACE: Duration = Duration::from_secs(10);
/// How long is waited when connections cannot be accepted.
const RETRY: Duration = Duration::from_millis(100);

/// What a listener grants its clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How many connections are open at once.
    pub(crate) connections_max: usize,
    /// How long a client may take to send the head of a request, and to be silent between two.
    pub(crate) head_limit: Duration,
}

/// Serves connections until `stop`, then lets the requests under way end.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, terms: Terms, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(terms.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let (place, stream) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            next = accept(&listener, &places) => next,
        };
        let (service, stop) = (service.clone(), stop.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, service, terms.head_limit, stop).await {
                debug!(error = %error, "a connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    let ended = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!(
            connections = connections.len(),
            "requests did not end within {} s, they are broken off",
            GRACE.as_secs()
        );
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (tokio::sync::OwnedSemaphorePermit, TcpStream) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (place, stream),
            Err(error) => {
                // Out of file descriptors, mostly: others have to end first.
                warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn connection<S, B>(
    stream: TcpStream,
    service: S,
    head_limit: Duration,
    stop: CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = %error, "a connection is without TCP_NODELAY");
    }
    let stream = TokioIo::new(Stalling::new(stream, STALL_LIMIT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_limit)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(true)
        .half_close(false)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
