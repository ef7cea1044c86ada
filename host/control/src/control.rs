//! Builds the adapters and hands them over: the only place that knows them all.

use crate::api::{self, Api, Tokens};
use crate::apps::{Addresses, Apps, HttpAppHost};
use crate::blobs::Blobs;
use crate::broker::Broker;
use crate::children::{self, Program};
use crate::config::Config;
use crate::git::Git;
use crate::http::Client;
use crate::plugins::{self, Plugins};
use crate::private;
use crate::scheduler::{RecoverError, Scheduler};
use crate::secrets::{Secrets, VaultError};
use crate::store::{self, CommitError, Store};
use crate::workers::{self, Workers};
use bytes::Bytes;
use slipway_domain::ToolName;
use slipway_domain::grant::Operator;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a server is started with.
pub struct Options {
    /// The operator's configuration.
    pub config: Config,
    /// The folder of all that is kept.
    pub data: PathBuf,
    /// This program, which also runs as worker and as app host.
    pub program: PathBuf,
    /// The plugins that come with it: file name and bytes.
    pub plugins: Vec<(String, Bytes)>,
    /// What the processes that it starts log, when it is not what they do by themselves.
    pub children_log: Option<String>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A write at start.
    #[error("the store cannot be written")]
    Commit(#[from] CommitError),
    /// A read at start.
    #[error("the store cannot be read")]
    Read(#[from] sqlx::Error),
    /// The plugins that come with it.
    #[error("the built-in plugins cannot be stored")]
    Plugins(#[from] plugins::Error),
    /// What is stored cannot be taken up.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A port.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The port of the apps.
    #[error("cannot listen on `{address}` for the apps")]
    AppsListen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The app host.
    #[error("{0}")]
    Apps(String),
    /// The data folder.
    #[error("cannot write `{}`", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files with keys.
    #[error(transparent)]
    Private(#[from] private::Error),
    /// The keys of the secrets.
    #[error(transparent)]
    Secrets(#[from] VaultError),
    /// Whom stages' requests over HTTPS believe.
    #[error("the system's certificates cannot be read")]
    Certificates(#[source] io::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                "another program listens there: stop it, or choose another address with `--listen` (port 0 takes a free one)"
                    .into(),
            ),
            Self::Apps(_) | Self::AppsListen { .. } => Some("choose another address with `--apps-listen` (port 0 takes a free one)".into()),
            Self::Secrets(VaultError::Damaged(_)) => {
                Some("put the file back from a backup: without its keys the secrets are lost, and have to be set again".into())
            }
            Self::Certificates(_) => {
                Some("install the package `ca-certificates`, or name a file of certificates in `SSL_CERT_FILE`".into())
            }
            Self::Commit(CommitError::DiskFull) => Some("make room on the disk of the data folder".into()),
            Self::Commit(_)
            | Self::Read(_)
            | Self::Plugins(_)
            | Self::Recover(_)
            | Self::Listen { .. }
            | Self::Folder { .. }
            | Self::Secrets(_)
            | Self::Private(_) => None,
        }
    }
}

/// What a server that is ready can be reached by.
#[derive(Debug, Clone)]
pub struct Running {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where apps are reached, with `{app}` for the name.
    pub apps: String,
    /// The file with the first token.
    pub token_file: PathBuf,
    /// Whether the first token was made just now.
    pub token_is_new: bool,
    /// How many runs of an earlier process were taken up.
    pub recovered: usize,
}

/// Runs a server until `stop`. `ready` is told once requests are served.
pub async fn run(options: Options, ready: impl FnOnce(&Running), stop: CancellationToken) -> Result<(), Error> {
    let Options { config, data, program, plugins, children_log } = options;
    // The processes that are started below may stand elsewhere.
    let data = std::path::absolute(&data).map_err(|source| Error::Folder { path: data.clone(), source })?;
    let config = Arc::new(config);
    // Before anything is written: a start that fails for its address leaves nothing behind.
    let listener =
        TcpListener::bind(config.listen).await.map_err(|source| Error::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address: config.listen, source })?;
    // The app host binds this one itself, in a process of its own; here it is only tried.
    drop(
        TcpListener::bind(config.apps_listen)
            .await
            .map_err(|source| Error::AppsListen { address: config.apps_listen, source })?,
    );
    let store = Store::open(&data).await?;
    let folder = |path: PathBuf| move |source| Error::Folder { path, source };
    let blobs = Blobs::local(&data.join("blobs")).map_err(folder(data.join("blobs")))?;

    let (plugins, questions) = Plugins::new(store.clone(), blobs.clone(), &plugins).await?;
    let git = Git::new(data.join("mirrors"));
    let secrets = Secrets::open(store.clone(), &data)?;
    let keys = private::lease_keys(&data)?;
    let scheduler = Scheduler::new(store.clone(), git, plugins.clone(), operator(&config), keys, secrets.clone());
    let recovered = scheduler.recover(|worker| workers::token_of(worker) == children::EMBEDDED).await?;

    let host = Arc::new(HttpAppHost::default());
    let apps = Apps::new(store.clone(), blobs.clone(), host.clone(), Addresses::at(config.apps_listen));
    let http = Client::new(config.rules.reach.clone(), blobs.clone()).map_err(Error::Certificates)?;
    let broker = Broker {
        scheduler: scheduler.clone(),
        store: store.clone(),
        apps: apps.clone(),
        config: Arc::clone(&config),
        secrets: secrets.clone(),
        http,
    };
    let tokens = Tokens::new(store.clone());
    let (token_file, token_is_new) = private::first_token(&store, &data).await?;
    let worker_token = private::secret();
    tokens.accept_worker(&worker_token);

    let workers = Workers::new(scheduler.clone(), broker, plugins.clone(), blobs.clone(), questions);
    let worker_routes = api::guard_worker(workers.router(), tokens.clone());
    let routes = api::router(Api {
        scheduler: scheduler.clone(),
        store: store.clone(),
        blobs,
        apps: apps.clone(),
        plugins,
        secrets,
        tokens,
    });
    // Closed last: a worker that is stopping still has things to say.
    let close = CancellationToken::new();
    let serving = tokio::spawn(api::serve(listener, routes, worker_routes, close.clone()));

    let expiring = scheduler.clone();
    let expire = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            expiring.expire();
        }
    });
    let shown = config.tools.values().flat_map(|tool| std::iter::once(&tool.root).chain(&tool.read)).cloned().collect();
    let program = Program { path: program, folder: data.clone(), shown, log: children_log };
    let (bound, mut listens) = watch::channel(None);
    let kept_apps = children::keep_apps(
        program.clone(),
        config.apps_listen,
        private::secret(),
        host,
        apps.clone(),
        bound,
        stop.clone(),
    );
    let kept_apps = tokio::spawn(kept_apps);
    let control = format!("http://{}", reachable(address));
    let kept_worker = (config.worker_slots > 0).then(|| {
        let slots = config.worker_slots;
        tokio::spawn(children::keep_worker(program, control, worker_token, slots, scheduler.clone(), stop.clone()))
    });

    let listens = listens.wait_for(Option::is_some).await.map(|bound| bound.clone());
    let apps_address = match listens {
        Ok(Some(Ok(address))) => address,
        Ok(Some(Err(message))) => {
            stop.cancel();
            return Err(Error::Apps(message));
        }
        Ok(None) | Err(_) => return Err(Error::Apps("the app host did not start".into())),
    };
    let running =
        Running { api: address, apps: Addresses::at(apps_address).of("{app}"), token_file, token_is_new, recovered };
    ready(&running);

    stop.cancelled().await;
    for task in [kept_worker, Some(kept_apps)].into_iter().flatten() {
        if let Err(error) = task.await {
            tracing::warn!(%error, "a task ended badly");
        }
    }
    expire.abort();
    close.cancel();
    if let Err(error) = serving.await {
        tracing::warn!(%error, "the listener ended badly");
    }
    store.close().await;
    Ok(())
}

/// What the operator has.
pub fn operator(config: &Config) -> Operator {
    let tools = config.tools.keys().filter_map(|name| ToolName::new(name.clone()).ok()).collect();
    let rules = &config.rules;
    Operator { tools, networks: rules.networks.clone(), policy: rules.policy.clone(), pins: rules.pins }
}

/// An address that a client on this machine can dial.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}
