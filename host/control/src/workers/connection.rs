//! One worker's connection.

use super::{Workers, full_name};
use crate::api::{Caller, Revoked};
use crate::broker::Speaker;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::SplitStream;
use futures_util::{SinkExt, StreamExt};
use slipway_protocol::message::{decode, encode};
use slipway_protocol::{FromControl, FromWorker, MESSAGE_BYTES_MAX, SENT_AWAY, SLOTS_MAX, VERSION};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a worker may be silent: far longer than it takes to renew. Its leases end sooner.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long a worker may take to read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest name of a worker, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The longest version that is repeated, in bytes.
const VERSION_BYTES_MAX: usize = 24;

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
    if let Some(reason) = useless(protocol, &worker, &version, slots) {
        tracing::warn!(token, reason, "a worker was sent away");
        let close = CloseFrame { code: SENT_AWAY, reason: reason.into() };
        // It may be gone by itself.
        let _closed = tokio::time::timeout(PATIENCE, to.send(Message::Close(Some(close)))).await.is_err();
        return;
    }
    let worker = full_name(&token, &worker);
    let (tell, mut told) = mpsc::unbounded_channel();
    let number = workers.connected.add(&token, tell.clone());
    // The welcome goes before anything else that the worker is told.
    let (welcome, greeted) = mpsc::unbounded_channel();
    let resumed = workers.scheduler.worker_connected(&worker, slots, &holds, number, tell.clone());
    if welcome.send(FromControl::Welcome { resumed }).is_err() {
        return;
    }
    drop(welcome);
    tracing::info!(worker, slots, version, "worker connected");
    let speak = async move {
        let mut greeted = greeted;
        while let Some(message) = greeted.recv().await {
            if !in_time(to.send(Message::Binary(encode(&message).into()))).await {
                return;
            }
        }
        while let Some(message) = told.recv().await {
            let said = async {
                to.feed(Message::Binary(encode(&message).into())).await?;
                while let Ok(message) = told.try_recv() {
                    to.feed(Message::Binary(encode(&message).into())).await?;
                }
                to.flush().await
            };
            // What one that does not read is told would pile up here.
            if !in_time(said).await {
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
                FromWorker::Described { request, description } => {
                    if workers.connected.was_asked(number, request) {
                        workers.plugins.answered(request, description, &token);
                    }
                }
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

/// Why a worker that says this of itself cannot be used, in at most 123 bytes (RFC 6455 §5.5).
fn useless(protocol: u32, worker: &str, version: &str, slots: u32) -> Option<String> {
    let plain = |text: &str, bytes_max: usize| {
        !text.is_empty() && text.len() <= bytes_max && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if protocol != VERSION {
        let (ours, theirs) = (env!("CARGO_PKG_VERSION"), if plain(version, VERSION_BYTES_MAX) { version } else { "?" });
        Some(format!(
            "server {ours} speaks protocol {VERSION}, worker {theirs} protocol {protocol}: use the same release for both"
        ))
    } else if !plain(worker, NAME_BYTES_MAX) || !plain(version, VERSION_BYTES_MAX) {
        Some(format!("name and version of a worker have 1 to {NAME_BYTES_MAX} visible characters of ASCII"))
    } else if slots > SLOTS_MAX {
        Some(format!("a worker has at most {SLOTS_MAX} slots, and this one offers {slots}"))
    } else {
        None
    }
}

/// Whether something that is said was heard in time.
async fn in_time(said: impl Future<Output = Result<(), axum::Error>>) -> bool {
    tokio::time::timeout(PATIENCE, said).await.is_ok_and(|said| said.is_ok())
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
