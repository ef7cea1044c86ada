//! The process as a whole: two listeners over one registry.

use crate::admin;
use crate::front::Front;
use crate::guest::Runtime;
use crate::net::listen::{self, Terms};
use crate::options::{Bound, Options};
use crate::registry::Registry;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How long a user may take to send the head of a request, and to be silent between two.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// What control gets. It is not the one who hangs up: control's client keeps a silent
/// connection for 90 s, and an order on one that is just being closed would fail.
const ADMIN_TERMS: Terms = Terms { connections_max: 64, head_limit: Duration::from_secs(120) };

/// Why the app host does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program has the port.
    #[error(
        "cannot listen on `{address}`, which another program uses: stop that program, or give the {listener} another address"
    )]
    AddressInUse {
        /// The address.
        address: SocketAddr,
        /// Which listener it is for.
        listener: &'static str,
    },
    /// The address cannot be had.
    #[error(
        "cannot listen on `{address}`: give the {listener} an address that this machine has and this user may take"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Which listener it is for.
        listener: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The admin listener would be open to others.
    #[error("the app host's admin listener cannot be on `{0}`: give it an address of the loopback, as `127.0.0.1:0`")]
    AdminNotLocal(SocketAddr),
    /// Anybody could give orders.
    #[error("the app host's admin token is empty: give it one")]
    NoToken,
    /// The engine does not start.
    #[error("cannot start the engine that runs the apps: {0}")]
    Engine(String),
}

/// Serves until `stop`, then lets the requests under way end. `ready` hears the real
/// addresses once both are open.
pub async fn run(options: Options, ready: impl FnOnce(Bound), stop: CancellationToken) -> Result<(), Error> {
    if options.token.is_empty() {
        return Err(Error::NoToken);
    }
    if !options.admin.ip().is_loopback() {
        return Err(Error::AdminNotLocal(options.admin));
    }
    let users = bind(options.listen, "app listener").await?;
    let control = bind(options.admin, "admin listener").await?;
    let bound = Bound { listen: address(&users, options.listen)?, admin: address(&control, options.admin)? };

    let runtime =
        Runtime::new(options.compiler.clone(), options.limits).map_err(|error| Error::Engine(format!("{error:#}")))?;
    let registry = Arc::new(Registry::new(options.limits.concurrent_requests));
    options.expected.iter().cloned().for_each(|app| registry.expect(app));
    let front = Front::new(Arc::clone(&registry), options.limits.body_bytes);
    let admin = TowerToHyperService::new(admin::router(registry, Arc::new(runtime), options.token));

    info!(listen = %bound.listen, admin = %bound.admin, "apps are served at `http://<app>.localhost:{}`", bound.listen.port());
    ready(bound);
    let terms = Terms { connections_max: options.limits.connections, head_limit: HEAD_LIMIT };
    tokio::join!(listen::serve(users, front, terms, stop.clone()), listen::serve(control, admin, ADMIN_TERMS, stop),);
    Ok(())
}

async fn bind(address: SocketAddr, listener: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            Error::AddressInUse { address, listener }
        } else {
            Error::Listen { address, listener, source }
        }
    })
}

fn address(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen { address: asked, listener: "listener", source })
}
