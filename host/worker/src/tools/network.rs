//! A tool's only way out: a proxy that asks control about each connection.
//!
//! The sandbox has a network of its own with nothing in it but loopback. [`super::init`] listens there and
//! passes what comes to a Unix socket, behind which this proxy stands. It speaks `CONNECT` (RFC 9110
//! §9.3.6) and nothing else: what goes through is between the tool and the host that it named.

use crate::log::Log;
use crate::session::Session;
use slipway_domain::address::{Range, Reach};
use slipway_domain::grant::host::is_host;
use slipway_domain::text::cut;
use slipway_protocol::{Call, Reply};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The name of the proxy's socket in the scratch folder.
pub const SOCKET: &str = "proxy.sock";
/// How many connections a tool has at the same time.
const CONNECTIONS_MAX: usize = 64;
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long a tool may take to say where to.
const HEAD: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long connections may take to be put on the record once their tool has ended.
const ENDED: Duration = Duration::from_secs(2);

/// The proxy of a running tool.
pub struct Proxy {
    stop: CancellationToken,
    connections: TaskTracker,
}

/// What a connection is judged by.
struct Gate {
    session: Arc<Session>,
    tool: String,
    start: u64,
    reach: Reach,
}

/// What a tool has asked for, and was not given.
struct Refused {
    status: &'static str,
    why: String,
}

impl Proxy {
    /// Listens in a tool's scratch folder. `start` is the number of the call that started the tool.
    pub fn listen(session: Arc<Session>, tool: &str, start: u64, reach: &[String], scratch: &Path) -> io::Result<Self> {
        // By way of a descriptor: the path of a socket has at most 108 bytes (unix(7)).
        let folder = File::open(scratch)?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))?;
        // What control has sent was a range when it read it.
        let reach = Reach(reach.iter().filter_map(|range| Range::parse(range).ok()).collect());
        let gate = Arc::new(Gate { session, tool: tool.to_owned(), start, reach });
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let (stopped, tracker) = (stop.clone(), connections.clone());
        connections.spawn(async move {
            let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
            loop {
                let accepted = async {
                    let place = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
                    Ok::<_, io::Error>((place, listener.accept().await?.0))
                };
                let (place, stream) = tokio::select! {
                    () = stopped.cancelled() => break,
                    accepted = accepted => match accepted {
                        Ok(accepted) => accepted,
                        Err(error) => {
                            tracing::warn!(%error, "a tool's connection is not accepted");
                            break;
                        }
                    },
                };
                let (gate, stopped) = (Arc::clone(&gate), stopped.clone());
                tracker.spawn(async move {
                    gate.serve(stream, &stopped).await;
                    drop(place);
                });
            }
        });
        Ok(Self { stop, connections })
    }

    /// Ends all connections, and waits until they are on the record.
    pub async fn end(self) {
        self.stop.cancel();
        self.connections.close();
        if timeout(ENDED, self.connections.wait()).await.is_err() {
            tracing::debug!("some connections of a tool are not on the record");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Gate {
    async fn serve(&self, mut stream: UnixStream, stopped: &CancellationToken) {
        let served = tokio::select! {
            () = stopped.cancelled() => return,
            served = self.connect(&mut stream) => served,
        };
        let (connect, address, mut outside) = match served {
            Ok(connected) => connected,
            Err(refused) => return self.refuse(stream, refused).await,
        };
        let mut count = Counted { inner: &mut outside, sent: 0, received: 0 };
        let relayed = async {
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            copy_bidirectional(&mut stream, &mut count).await
        };
        let error = tokio::select! {
            () = stopped.cancelled() => None,
            relayed = relayed => relayed.err().map(|error| error.to_string()),
        };
        let (sent, received) = (count.sent, count.received);
        self.disconnected(connect, Some(address), sent, received, error).await;
    }

    /// Reads where a tool wants to, asks control, and connects. Returns the number of the question.
    async fn connect(&self, stream: &mut UnixStream) -> Result<(u64, SocketAddr, TcpStream), Refused> {
        let bad = |why: &str| Refused { status: "400 Bad Request", why: why.to_owned() };
        let Ok(Ok(head)) = timeout(HEAD, head(stream)).await else {
            return Err(bad("this is no request to a proxy"));
        };
        let (host, port) = target(&head).ok_or_else(|| Refused {
            status: "501 Not Implemented",
            why: "only `CONNECT host:port` goes through: use https".to_owned(),
        })?;
        let call = Call::ConnectTool { start: self.start, tool: self.tool.clone(), host: host.clone(), port };
        let connect = match self.session.numbered_call(call).await {
            Ok((connect, Reply::Done)) => connect,
            Ok((_, Reply::Refused(failure))) => {
                return Err(Refused { status: "403 Forbidden", why: failure.message });
            }
            Ok(_) | Err(_) => return Err(bad("the stage has ended")),
        };
        match self.dial(&host, port).await {
            Ok((address, stream)) => Ok((connect, address, stream)),
            Err(refused) => {
                self.disconnected(connect, None, 0, 0, Some(refused.why.clone())).await;
                Err(refused)
            }
        }
    }

    /// Connects to the first address that answers. All that a name leads to have to be allowed.
    async fn dial(&self, host: &str, port: u16) -> Result<(SocketAddr, TcpStream), Refused> {
        let unreachable = |why: &dyn std::fmt::Display| Refused {
            status: "502 Bad Gateway",
            why: format!("`{host}:{port}` cannot be reached: {why}"),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => match timeout(CONNECT, tokio::net::lookup_host((bare, port))).await {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(error)) => return Err(unreachable(&error)),
                Err(late) => return Err(unreachable(&late)),
            },
        };
        if let Some(refused) = addresses.iter().find(|address| !self.reach.allows(address.ip())) {
            let address = refused.ip();
            return Err(Refused {
                status: "403 Forbidden",
                why: format!(
                    "`{host}` leads to {address}, which is of a private network: the server's operator adds it to \
                     `reach` in the policy file, if stages may reach it"
                ),
            });
        }
        let mut why = "it has no address".to_owned();
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A tunnel decides nothing by how its bytes are gathered.
                    let _as_it_is = stream.set_nodelay(true).is_err();
                    return Ok((address, stream));
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(late) => why = late.to_string(),
            }
        }
        Err(unreachable(&why))
    }

    /// Tells the tool, and people, why.
    async fn refuse(&self, mut stream: UnixStream, Refused { status, why }: Refused) {
        let log: &Arc<Log> = &self.session.log;
        log.write("host", "warn", format!("tool `{}` was not connected: {why}", self.tool), Vec::new());
        let body = format!("{why}\n");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        // A tool that does not listen knows less.
        let _gone = stream.write_all(answer.as_bytes()).await.is_err();
    }

    async fn disconnected(
        &self,
        connect: u64,
        address: Option<SocketAddr>,
        sent: u64,
        received: u64,
        error: Option<String>,
    ) {
        let address = address.map(|address| address.to_string());
        let error = error.map(|error| cut(error, 1 << 10));
        // Without the lease there is no record to put it on.
        let _fenced = self.session.call(Call::ToolDisconnected { connect, address, sent, received, error }).await;
    }
}

/// Reads to the empty line, and not a byte beyond: what follows is the tool's with the host.
async fn head(stream: &mut UnixStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES_MAX {
            return Err(io::Error::other("the head is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

/// The host and port of a `CONNECT`.
fn target(head: &str) -> Option<(String, u16)> {
    let mut words = head.lines().next()?.split(' ');
    let (Some("CONNECT"), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return None;
    };
    let (host, port) = target.rsplit_once(':')?;
    let host = host.to_ascii_lowercase();
    (version.starts_with("HTTP/1.") && is_host(&host)).then_some(())?;
    port.parse().ok().filter(|port| *port > 0).map(|port| (host, port))
}

/// Counts what goes through.
struct Counted<'a> {
    inner: &'a mut TcpStream,
    sent: u64,
    received: u64,
}

impl tokio::io::AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = std::pin::Pin::new(&mut *self.inner).poll_read(context, buffer);
        self.received += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl tokio::io::AsyncWrite for Counted<'_> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        let polled = std::pin::Pin::new(&mut *self.inner).poll_write(context, bytes);
        if let std::task::Poll::Ready(Ok(written)) = &polled {
            self.sent += *written as u64;
        }
        polled
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut *self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut *self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tunnel_to_a_host_is_asked_for() {
        let asked = |line: &str| target(&format!("{line}\r\nhost: x\r\n\r\n"));
        assert_eq!(asked("CONNECT index.crates.io:443 HTTP/1.1"), Some(("index.crates.io".into(), 443)));
        assert_eq!(asked("CONNECT INDEX.crates.io:443 HTTP/1.0"), Some(("index.crates.io".into(), 443)));
        assert_eq!(asked("CONNECT [::1]:8443 HTTP/1.1"), Some(("[::1]".into(), 8443)));
        for line in [
            "",
            "GET http://a.test/ HTTP/1.1",
            "CONNECT a.test HTTP/1.1",
            "CONNECT a.test:0 HTTP/1.1",
            "CONNECT a.test:70000 HTTP/1.1",
            "CONNECT user@a.test:443 HTTP/1.1",
            "CONNECT a_b.test:443 HTTP/1.1",
            "CONNECT 127.1:443 HTTP/1.1",
            "CONNECT 2130706433:443 HTTP/1.1",
            "CONNECT a.test:443 HTTP/2",
            "CONNECT a.test:443  HTTP/1.1",
            "CONNECT a.test:443",
        ] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
