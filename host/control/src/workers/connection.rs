//! One worker's connection.

use super::{Workers, full_name};
use crate::api::{Caller, Revoked};
use crate::broker::Speaker;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use slipway_protocol::message::{decode, encode};
use slipway_protocol::{FromControl, FromWorker, MESSAGE_BYTES_MAX, VERSION};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a worker may be silent: longer than it takes to renew, shorter than a lease.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The longest name of a worker, in bytes.
const NAME_BYTES_MAX: usize = 64;

pub(super) async fn connect(
    State(workers): State<Workers>,
    Extension(Caller(token)): Extension<Caller>,
    Extension(Revoked(revoked)): Extension<Revoked>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.max_message_size(MESSAGE_BYTES_MAX).on_upgrade(move |socket| serve(workers, token, revoked, socket))
}

async fn serve(workers: Workers, token: String, revoked: CancellationToken, socket: WebSocket) {
    let (mut to, mut from) = socket.split();
    let Some(FromWorker::Hello { protocol, worker, version, slots, holds }) = next(&mut from).await else {
        return tracing::warn!("a worker connected and did not say hello");
    };
    if protocol != VERSION {
        return tracing::warn!(worker, version, protocol, "a worker speaks another version of the protocol");
    }
    if worker.is_empty() || worker.len() > NAME_BYTES_MAX || !worker.bytes().all(|byte| byte.is_ascii_graphic()) {
        return tracing::warn!(token, "a worker gives itself a name that is none");
    }
    let worker = full_name(&token, &worker);
    let (tell, mut told) = mpsc::unbounded_channel();
    let number = workers.connected.add(tell.clone());
    // The welcome goes before anything else that the worker is told.
    let (welcome, greeted) = mpsc::unbounded_channel();
    let resumed = workers.scheduler.worker_connected(&worker, slots, &holds, number, tell.clone());
    if welcome.send(FromControl::Welcome { resumed }).is_err() {
        return;
    }
    drop(welcome);
    tracing::info!(worker, slots, "worker connected");
    let speak = async move {
        let mut greeted = greeted;
        while let Some(message) = greeted.recv().await {
            if to.send(Message::Binary(encode(&message).into())).await.is_err() {
                return;
            }
        }
        while let Some(message) = told.recv().await {
            let mut result = to.feed(Message::Binary(encode(&message).into())).await;
            while let Ok(message) = told.try_recv() {
                result = result.and(to.feed(Message::Binary(encode(&message).into())).await);
            }
            if result.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    };
    let speaker = Speaker { worker: worker.clone(), connection: number, tell: tell.clone() };
    let listen = async {
        while let Some(message) = next(&mut from).await {
            match message {
                FromWorker::Hello { .. } => break,
                FromWorker::Renew { epochs } => {
                    let (held, lost) = workers.scheduler.renew(&worker, &epochs);
                    let answers = lost.into_iter().map(|epoch| FromControl::Fenced { epoch });
                    for answer in answers.chain([FromControl::Renewed { epochs: held }]) {
                        // The other half has ended; this one will see it.
                        let _closing = tell.send(answer);
                    }
                }
                FromWorker::Frame { epoch, seq, body } => workers.broker.frame(&speaker, epoch, seq, body),
                FromWorker::Described { request, description } => workers.plugins.answered(request, description),
                FromWorker::Draining => workers.scheduler.worker_draining(&worker),
                FromWorker::HandBack { epochs } => workers.scheduler.hand_back(&worker, &epochs),
            }
        }
    };
    tokio::select! {
        () = speak => {}
        () = listen => {}
        // It dials again, and is refused then.
        () = revoked.cancelled() => tracing::warn!(worker, "the token of this worker was revoked"),
    }
    workers.connected.remove(number);
    workers.scheduler.worker_disconnected(&worker, number);
    tracing::info!(worker, "worker disconnected");
}

/// The next message; `None` once the connection is of no more use.
async fn next(from: &mut SplitStream<WebSocket>) -> Option<FromWorker> {
    loop {
        match tokio::time::timeout(SILENCE_MAX, from.next()).await {
            Err(_elapsed) => return None,
            Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return None,
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                return decode(&bytes)
                    .inspect_err(|error| tracing::warn!(%error, "a worker said what is no message"))
                    .ok();
            }
            Ok(Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_)))) => {}
        }
    }
}
