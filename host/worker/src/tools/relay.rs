//! Inside a sandbox: passes connections from loopback to the proxy outside.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Where the proxy's socket is seen inside.
pub(super) const SOCKET: &str = "/run/slipway/proxy.sock";
/// The address of the proxy for the tool.
pub(super) const ADDRESS: &str = "127.0.0.1:3128";
/// The variables by which programs are told of a proxy. Some read only one of them.
pub(super) const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
/// Connections that are passed on at the same time. The proxy has a limit of its own.
const CONNECTIONS_MAX: usize = 64;

/// Listens, and passes on whatever comes for as long as the process lives.
pub(super) fn start() -> io::Result<()> {
    let listener = TcpListener::bind(ADDRESS)?;
    let open = Arc::new(AtomicUsize::new(0));
    thread::Builder::new().name("relay".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
                open.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let place = Arc::clone(&open);
            let passed = thread::Builder::new().spawn(move || {
                // Whoever closes first: the other side sees it.
                let _ended = pass(stream).is_err();
                place.fetch_sub(1, Ordering::SeqCst);
            });
            if passed.is_err() {
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    })?;
    Ok(())
}

fn pass(inside: TcpStream) -> io::Result<()> {
    let outside = UnixStream::connect(SOCKET)?;
    let (mut from, mut to) = (inside.try_clone()?, outside.try_clone()?);
    let back = thread::Builder::new().spawn(move || {
        copy(&mut &outside, &mut &inside);
        // As above.
        let _ended = inside.shutdown(Shutdown::Write).is_err();
    })?;
    copy(&mut from, &mut to);
    let _ended = to.shutdown(Shutdown::Write).is_err();
    drop(back.join());
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            return;
        }
    }
}
