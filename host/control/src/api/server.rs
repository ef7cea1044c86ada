//! The listener: HTTP/1.1 with limits on headers, bodies and connections.

use super::problem::Problem;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// What a listener takes.
struct Limits {
    /// How long a client may take to send its headers.
    headers: Duration,
    /// How long a client may send nothing of a body that it has begun.
    body_idle: Duration,
    /// The most connections at once.
    connections: usize,
    /// Connections beyond them, on which only workers are served: a crowd of clients must not
    /// keep a worker from renewing its leases.
    reserved: usize,
}

const LIMITS: Limits =
    Limits { headers: Duration::from_secs(10), body_idle: Duration::from_secs(30), connections: 1_024, reserved: 128 };

/// How long requests may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `stop`. `workers` has limits of its own.
pub async fn serve(listener: TcpListener, api: Router, workers: Router, stop: CancellationToken) {
    serve_within(&LIMITS, listener, api, workers, stop).await;
}

async fn serve_within(limits: &Limits, listener: TcpListener, api: Router, workers: Router, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(limits.connections + limits.reserved));
    let crowd = Crowd { places: Arc::clone(&connections), reserved: limits.reserved };
    let api = api
        .layer(DefaultBodyLimit::max(super::extract::BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(crowd, refuse_crowd));
    let router = Router::new().merge(workers).merge(api).layer(RequestBodyTimeoutLayer::new(limits.body_idle));
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = stop.cancelled() => break,
        };
        let (accepted, place) = accepted;
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often too many open files: wait for some to close.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Nagle's algorithm off: answers are small, and clients wait for them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.headers)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let stopping = stop.clone();
        open.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
    open.close();
    if tokio::time::timeout(DRAIN, open.wait()).await.is_err() {
        tracing::debug!("some connections were still open at the end");
    }
}

/// The next connection, with its place among those that may be open.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (std::io::Result<(TcpStream, SocketAddr)>, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    (listener.accept().await, place)
}

/// The places that are left, and how many of them are not for clients.
#[derive(Clone)]
struct Crowd {
    places: Arc<Semaphore>,
    reserved: usize,
}

/// Refuses requests of the API while only the places of workers are left.
async fn refuse_crowd(State(crowd): State<Crowd>, request: Request, next: Next) -> Response {
    if crowd.places.available_permits() < crowd.reserved {
        Problem::crowded().into_response()
    } else {
        next.run(request).await
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
