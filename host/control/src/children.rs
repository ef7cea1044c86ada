//! The processes that a server starts itself: one worker, and the app host.
//!
//! Each gets its orders as one line of JSON on standard input, which then stays open: when
//! it closes, because this process has ended in whatever way, the child ends too.

use crate::apps::{Addresses, Apps, HttpAppHost};
use crate::scheduler::Scheduler;
use crate::workers;
use serde::{Deserialize, Serialize};
use slipway_domain::run::Loss;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The pause before a child that has ended is started again: from and to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// A child that has run for so long is started again without a longer pause.
const STEADY: Duration = Duration::from_secs(30);
/// How long a child may take to say that it listens.
const START: Duration = Duration::from_secs(60);
/// How long a child may take to end when it is told to.
const STOP: Duration = Duration::from_secs(10);

/// The variables of this process that children get. Others may hold credentials.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_BACKTRACE", "SLIPWAY_LOG"];
/// How long an app that is not served waits until that is tried again.
const BRING_UP_AGAIN: Duration = Duration::from_secs(10);

/// The name of the token of workers that end with this process.
pub const EMBEDDED: &str = "embedded";

/// The orders of an embedded worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerOrders {
    /// Control's URL.
    pub control: String,
    /// The token that control accepts.
    pub token: String,
    /// The worker's name.
    pub name: String,
    /// How many leases it takes at once.
    pub slots: u32,
    /// Its folder.
    pub folder: PathBuf,
    /// What of the machine its tools may be shown.
    pub shown: Vec<PathBuf>,
}

/// The orders of the app host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppsOrders {
    /// Where the apps' users come in.
    pub listen: SocketAddr,
    /// The token that it accepts from control.
    pub token: String,
    /// The folder of compiled code.
    pub cache: PathBuf,
    /// The apps that it will be given.
    pub expected: Vec<String>,
}

/// What the app host says once it listens, as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppsReady {
    /// Where the apps' users come in.
    pub listen: SocketAddr,
    /// Where control comes in.
    pub admin: SocketAddr,
}

/// How children are started.
#[derive(Debug, Clone)]
pub struct Program {
    /// This program.
    pub path: PathBuf,
    /// The folder for what children keep.
    pub folder: PathBuf,
    /// What of the machine tools are shown, by the operator's configuration.
    pub shown: Vec<PathBuf>,
    /// What children log (`SLIPWAY_LOG`), when it is not what they do by themselves.
    pub log: Option<String>,
}

/// Starts a child with its orders, and whatever it says on standard error on ours.
async fn start<T: Serialize>(program: &Program, command: &str, orders: &T) -> std::io::Result<Started> {
    let log = program.log.iter().map(|filter| ("SLIPWAY_LOG", filter));
    let mut child = Command::new(&program.path)
        .args([command, "--embedded"])
        .env_clear()
        .envs(PASSED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(log)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C reaches a whole group; this process decides when its children end.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Taken out of the child, whose `wait` would close it.
    let mut stdin = child.stdin.take().ok_or_else(|| std::io::Error::other("the child has no standard input"))?;
    let mut line = serde_json::to_vec(orders)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await?;
    Ok(Started { child, stdin })
}

/// A child that runs for as long as its standard input is open.
struct Started {
    child: Child,
    stdin: ChildStdin,
}

/// Waits for the end of a child, or ends it in good order when this process stops.
async fn watch(Started { mut child, stdin }: Started, stop: &CancellationToken) -> bool {
    tokio::select! {
        status = child.wait() => {
            tracing::warn!(?status, "a child process ended");
            true
        }
        () = stop.cancelled() => {
            // Its end is what closing standard input asks for.
            drop(stdin);
            if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                tracing::warn!("a child process did not end in time");
            }
            false
        }
    }
}

/// Keeps one worker running until `stop`.
pub async fn keep_worker(
    program: Program,
    control: String,
    token: String,
    slots: u32,
    scheduler: Scheduler,
    stop: CancellationToken,
) {
    let mut pause = PAUSES.0;
    while !stop.is_cancelled() {
        let name = crate::scheduler::new_id().to_string();
        let orders = WorkerOrders {
            control: control.clone(),
            token: token.clone(),
            name: name.clone(),
            slots,
            folder: program.folder.join("worker"),
            shown: program.shown.clone(),
        };
        let began = tokio::time::Instant::now();
        match start(&program, "worker", &orders).await {
            Ok(child) => {
                let ended = watch(child, &stop).await;
                scheduler.worker_gone(
                    &workers::full_name(EMBEDDED, &name),
                    if ended { Loss::Death } else { Loss::Innocent },
                );
            }
            Err(error) => tracing::error!(%error, "the worker cannot be started"),
        }
        pause = if began.elapsed() > STEADY { PAUSES.0 } else { pause };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Keeps the app host running until `stop`, and brings it to what is stored whenever it
/// has started. `bound` tells where the apps' users come in, once it is known.
pub async fn keep_apps(
    program: Program,
    mut listen: SocketAddr,
    token: String,
    host: Arc<HttpAppHost>,
    apps: Apps,
    bound: watch::Sender<Option<Result<SocketAddr, String>>>,
    stop: CancellationToken,
) {
    let mut pause = PAUSES.0;
    while !stop.is_cancelled() {
        let (cache, expected) = (program.folder.join("apps"), apps.names().await);
        let orders = AppsOrders { listen, token: token.clone(), cache, expected };
        let began = tokio::time::Instant::now();
        match start(&program, "apps", &orders).await {
            Ok(mut child) => {
                let ready = tokio::select! {
                    ready = tokio::time::timeout(START, ready(&mut child.child)) => ready.ok().flatten(),
                    () = stop.cancelled() => None,
                };
                match &ready {
                    Some(ready) => {
                        // A port that was chosen once is kept, so that addresses stay good.
                        listen = ready.listen;
                        host.set(Some((ready.admin, token.clone())));
                        apps.moved(Addresses::at(ready.listen));
                    }
                    None => {
                        bound.send_if_modified(|bound| {
                            let first = bound.is_none();
                            if first {
                                *bound = Some(Err(format!("the app host did not start; is `{listen}` in use?")));
                            }
                            first
                        });
                    }
                }
                let serve = async {
                    if let Some(ready) = ready {
                        let whole = bring_up(&apps).await;
                        bound.send_replace(Some(Ok(ready.listen)));
                        bring_up_rest(&apps, whole).await;
                    }
                    std::future::pending().await
                };
                tokio::select! {
                    // First: one that has ended is not waited for.
                    biased;
                    _ended = watch(child, &stop) => {}
                    () = serve => {}
                }
                host.set(None);
            }
            Err(error) => tracing::error!(%error, "the app host cannot be started"),
        }
        pause = if began.elapsed() > STEADY { PAUSES.0 } else { pause };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Brings the app host to what is stored. Returns whether every app is served.
async fn bring_up(apps: &Apps) -> bool {
    match apps.bring_up().await {
        Ok(broken) => {
            for (app, error) in &broken {
                tracing::error!(error = error as &dyn std::error::Error, %app, "an app is not served");
            }
            broken.is_empty()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the apps are not served");
            false
        }
    }
}

/// Goes on until every app is served.
async fn bring_up_rest(apps: &Apps, mut whole: bool) {
    while !whole {
        tokio::time::sleep(BRING_UP_AGAIN).await;
        whole = bring_up(apps).await;
    }
}

async fn ready(child: &mut Child) -> Option<AppsReady> {
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}
