//! The connection to control: one thread that never runs a guest, so that leases are
//! renewed however busy the guests are.

use crate::clock;
use crate::outbox::Outbox;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use slipway_domain::text::cut;
use slipway_protocol::lease::Component;
use slipway_protocol::message::{Description, Undescribed, decode, encode};
use slipway_protocol::{
    FromControl, FromWorker, Lease, MESSAGE_BYTES_MAX, RENEW_SECONDS, SELF_FENCE_SECONDS, SENT_AWAY, VERSION,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The first and the longest pause before control is dialled again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long a connection may take to be made, and a message to be sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long control may be silent before the connection counts as broken. It answers every
/// renewal.
const SILENCE_MAX: Duration = Duration::from_secs(3 * RENEW_SECONDS);
/// How often people are told that there is still no connection.
const COMPLAIN: Duration = Duration::from_secs(60);
/// How often overdue leases are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Control cannot be reached, or broke off.
    #[error("the connection to control at `{url}` failed")]
    Connection {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<tungstenite::Error>,
    },
    /// Control does not accept this worker.
    #[error("control at `{url}` does not accept this worker: {status}")]
    NotAccepted {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Control has closed the connection and said why: this worker is of no use to it.
    #[error("control at `{url}` has sent this worker away: {reason}")]
    SentAway {
        /// Where.
        url: String,
        /// Why, in control's words.
        reason: String,
    },
}

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// It broke.
    Broken(tungstenite::Error),
    /// Control has sent the worker away, and says why.
    SentAway(String),
}

impl From<tungstenite::Error> for End {
    fn from(error: tungstenite::Error) -> Self {
        Self::Broken(error)
    }
}

/// What control asks of the worker.
pub trait Duties: Send + Sync {
    /// Runs a lease. Returns at once; what happens is said through the outbox.
    fn run(&self, lease: Lease, outbox: Arc<Outbox>);
    /// Finds out what a component is. Returns at once; `answer` is called later.
    fn describe(&self, component: Component, answer: Box<dyn FnOnce(Result<Description, Undescribed>) + Send>);
}

/// The leases that the worker holds.
#[derive(Default)]
pub struct Leases(Mutex<HashMap<u64, Held>>);

struct Held {
    outbox: Arc<Outbox>,
    renewed: Instant,
}

impl Leases {
    /// No leases yet, and a thread of its own that stops those which are not renewed in time,
    /// whatever the connection is waiting for. The thread ends with the leases.
    pub fn watched() -> std::io::Result<Arc<Self>> {
        let leases = Arc::new(Self::default());
        let watched = Arc::downgrade(&leases);
        std::thread::Builder::new().name("leases".into()).spawn(move || {
            while let Some(leases) = watched.upgrade() {
                leases.fence_overdue(clock::instant());
                drop(leases);
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(leases)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, epoch: u64) -> Option<Arc<Outbox>> {
        self.lock().get(&epoch).map(|held| Arc::clone(&held.outbox))
    }

    /// How many leases there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn epochs(&self) -> Vec<u64> {
        self.lock().keys().copied().collect()
    }

    fn lose(&self, epoch: u64) {
        if let Some(held) = self.lock().remove(&epoch) {
            held.outbox.fence();
        }
    }

    /// Stops what all leases are about, and returns their epochs. They count until control has
    /// taken them back.
    pub fn stop_all(&self) -> Vec<u64> {
        let held = self.lock();
        held.values().for_each(|held| held.outbox.fence());
        held.keys().copied().collect()
    }

    /// Stops what was not renewed for so long that control may have given it to another.
    fn fence_overdue(&self, now: Instant) {
        let limit = Duration::from_secs(SELF_FENCE_SECONDS);
        let is_overdue = |held: &Held| now.saturating_duration_since(held.renewed) > limit;
        let overdue: Vec<u64> =
            self.lock().iter().filter(|(_, held)| is_overdue(held)).map(|(epoch, _)| *epoch).collect();
        for epoch in overdue {
            tracing::warn!(epoch, "lease not renewed in time: stopping what it holds");
            self.lose(epoch);
        }
    }
}

/// Who the worker is, and where control is.
pub struct Identity {
    /// Control's URL, `http://…`.
    pub control: String,
    /// The token that control accepts.
    pub token: String,
    /// The name of this process, new at each start.
    pub worker: String,
    /// How many leases it takes at once.
    pub slots: u32,
}

/// The connection and all that hangs on it.
pub struct Link<D> {
    identity: Identity,
    duties: D,
    leases: Arc<Leases>,
    wire: mpsc::UnboundedSender<FromWorker>,
    outgoing: mpsc::UnboundedReceiver<FromWorker>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl<D: Duties> Link<D> {
    /// A link that is not connected yet.
    pub fn new(identity: Identity, duties: D, leases: Arc<Leases>) -> Self {
        let (wire, outgoing) = mpsc::unbounded_channel();
        Self { identity, duties, leases, wire, outgoing }
    }

    /// A way to say something that is no lease's: used for `Draining`.
    pub fn wire(&self) -> mpsc::UnboundedSender<FromWorker> {
        self.wire.clone()
    }

    /// Connects, and connects again whenever the connection breaks. Returns only when
    /// control does not accept this worker.
    pub async fn run(&mut self) -> Error {
        let mut pause = PAUSES.0;
        let mut complaints = Complaints::default();
        loop {
            let ended = match self.connect().await {
                Ok(socket) => self.serve(socket, &mut pause, &mut complaints).await,
                Err(error @ (Error::NotAccepted { .. } | Error::SentAway { .. })) => return error,
                Err(Error::Connection { source, .. }) => End::Broken(*source),
            };
            match ended {
                End::SentAway(reason) => return Error::SentAway { url: self.identity.control.clone(), reason },
                End::Broken(error) => complaints.say(&self.identity.control, &error),
            }
            let wait = tokio::time::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
            wait.await;
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the library has many errors, and one matters here")]
    async fn connect(&self) -> Result<Socket, Error> {
        let url = format!("{}/worker/v1/connect", self.identity.control.replacen("http", "ws", 1));
        let failed = |source: tungstenite::Error| match source {
            tungstenite::Error::Http(response) if response.status().is_client_error() => {
                Error::NotAccepted { url: url.clone(), status: response.status().as_u16() }
            }
            source => Error::Connection { url: url.clone(), source: Box::new(source) },
        };
        let mut request = url.as_str().into_client_request().map_err(failed)?;
        let token = format!("Bearer {}", self.identity.token);
        if let Ok(value) = token.parse() {
            request.headers_mut().insert("authorization", value);
        }
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX));
        // Nagle's algorithm off: a lease's messages are small and wait for each other.
        let connected = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        in_time(connected).await.map(|(socket, _)| socket).map_err(failed)
    }

    /// Says hello, says again what control has not stored, then listens and speaks until
    /// the connection breaks. Control's welcome ends the complaints, and sets the pause before
    /// the next connection back.
    async fn serve(&mut self, socket: Socket, pause: &mut Duration, complaints: &mut Complaints) -> End {
        let (mut to, mut from) = socket.split();
        let hello = FromWorker::Hello {
            protocol: VERSION,
            worker: self.identity.worker.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: self.identity.slots,
            holds: self.leases.epochs(),
        };
        if let Err(error) = in_time(to.send(Message::Binary(encode(&hello).into()))).await {
            return error.into();
        }
        let mut renew = tokio::time::interval(Duration::from_secs(RENEW_SECONDS));
        let mut welcome = false;
        let mut heard = tokio::time::Instant::now();
        loop {
            let step = tokio::select! {
                message = next(&mut from) => match message {
                    Ok(message) => {
                        heard = tokio::time::Instant::now();
                        if let FromControl::Welcome { resumed } = message {
                            self.resume(&resumed);
                            welcome = true;
                            *pause = PAUSES.0;
                            complaints.end(&self.identity.control);
                        } else {
                            self.heed(message);
                        }
                        Ok(())
                    }
                    Err(end) => Err(end),
                },
                () = tokio::time::sleep_until(heard + SILENCE_MAX) => Err(silent().into()),
                Some(message) = self.outgoing.recv(), if welcome => {
                    in_time(self.say(&mut to, message)).await.map_err(End::Broken)
                }
                _ = renew.tick() => {
                    // Also without leases: control takes a silent worker for a dead one.
                    let epochs = self.leases.epochs();
                    if welcome {
                        in_time(self.say(&mut to, FromWorker::Renew { epochs })).await.map_err(End::Broken)
                    } else {
                        Ok(())
                    }
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends a message and those that wait behind it, then flushes once.
    async fn say(&mut self, to: &mut SplitSink<Socket, Message>, first: FromWorker) -> Result<(), tungstenite::Error> {
        to.feed(Message::Binary(encode(&first).into())).await?;
        while let Ok(message) = self.outgoing.try_recv() {
            to.feed(Message::Binary(encode(&message).into())).await?;
        }
        to.flush().await
    }

    /// After a new connection: leases that control no longer knows are lost, the others say
    /// again what it has not stored. Frames that waited to be sent are among that.
    fn resume(&mut self, resumed: &[(u64, u64)]) {
        // First, so that no new frame gets in between the two below.
        for epoch in self.leases.epochs() {
            if let Some(outbox) = self.leases.get(epoch) {
                outbox.pause();
            }
        }
        let mut waiting = Vec::new();
        while let Ok(message) = self.outgoing.try_recv() {
            if !matches!(message, FromWorker::Frame { .. }) {
                waiting.push(message);
            }
        }
        for message in waiting {
            // The receiver lives as long as this link.
            let _open = self.wire.send(message);
        }
        let known: HashMap<u64, u64> = resumed.iter().copied().collect();
        for epoch in self.leases.epochs() {
            match (known.get(&epoch), self.leases.get(epoch)) {
                (Some(stored), Some(outbox)) => {
                    outbox.resend(*stored);
                    self.renewed(epoch);
                }
                (None, _) | (_, None) => self.leases.lose(epoch),
            }
        }
    }

    fn heed(&self, message: FromControl) {
        match message {
            FromControl::Welcome { .. } => {}
            FromControl::Lease(lease) => {
                let outbox = Arc::new(Outbox::new(lease.epoch, self.wire.clone()));
                let held = Held { outbox: Arc::clone(&outbox), renewed: clock::instant() };
                self.leases.lock().insert(lease.epoch, held);
                self.duties.run(*lease, outbox);
            }
            FromControl::Reply { epoch, seq, reply } => {
                if let Some(outbox) = self.leases.get(epoch) {
                    outbox.reply(seq, reply);
                }
            }
            FromControl::Stored { epoch, seq } => {
                if self.leases.get(epoch).is_some_and(|outbox| outbox.stored(seq)) {
                    self.leases.lock().remove(&epoch);
                }
            }
            FromControl::Renewed { epochs } => epochs.into_iter().for_each(|epoch| self.renewed(epoch)),
            FromControl::Fenced { epoch } => self.leases.lose(epoch),
            FromControl::Cancel { epoch } => {
                if let Some(outbox) = self.leases.get(epoch) {
                    outbox.cancel();
                }
            }
            FromControl::Describe { request, component } => {
                let wire = self.wire.clone();
                let answer = move |description| {
                    // The receiver ends only with the process.
                    let _closing = wire.send(FromWorker::Described { request, description });
                };
                self.duties.describe(component, Box::new(answer));
            }
        }
    }

    fn renewed(&self, epoch: u64) {
        if let Some(held) = self.leases.lock().get_mut(&epoch) {
            held.renewed = clock::instant();
        }
    }
}

/// What is said to people while there is no connection: at first, and then once in a while.
#[derive(Default)]
struct Complaints {
    last: Option<tokio::time::Instant>,
}

impl Complaints {
    fn say(&mut self, control: &str, error: &tungstenite::Error) {
        let now = tokio::time::Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= COMPLAIN) {
            self.last = Some(now);
            tracing::warn!(control, %error, "no connection to control; dialling again until there is one");
        }
    }

    fn end(&mut self, control: &str) {
        self.last = None;
        tracing::info!(control, "connected to control");
    }
}

/// The result of something that is done in time, or an error.
async fn in_time<T>(something: impl Future<Output = Result<T, tungstenite::Error>>) -> Result<T, tungstenite::Error> {
    tokio::time::timeout(PATIENCE, something).await.unwrap_or_else(|_elapsed| Err(silent()))
}

fn silent() -> tungstenite::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

async fn next(from: &mut SplitStream<Socket>) -> Result<FromControl, End> {
    loop {
        match from.next().await {
            None => return Err(tungstenite::Error::ConnectionClosed.into()),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(Message::Binary(bytes))) => match decode(&bytes) {
                Ok(message) => return Ok(message),
                Err(error) => {
                    tracing::error!(%error, "control said what is no message");
                    return Err(tungstenite::Error::ConnectionClosed.into());
                }
            },
            Some(Ok(Message::Close(Some(close)))) if u16::from(close.code) == SENT_AWAY => {
                return Err(End::SentAway(cut(close.reason.escape_debug().to_string(), 256)));
            }
            Some(Ok(Message::Close(_))) => return Err(tungstenite::Error::ConnectionClosed.into()),
            Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
