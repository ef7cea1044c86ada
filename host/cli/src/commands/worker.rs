//! `slipway worker`, and the app host's process.

use super::{stop_on_signal, whole};
use crate::args::Worker;
use crate::client::{check_server, default_data};
use crate::error::Told;
use crate::{files, output};
use anyhow::Context;
use serde::de::DeserializeOwned;
use slipway_confine::service;
use slipway_control::children::{AppsOrders, AppsReady, WorkerOrders};
use slipway_domain::AppName;
use slipway_engine::Compiler;
use slipway_worker::confine;
use std::io::{BufRead, Read};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

pub(super) fn run(args: Worker) -> anyhow::Result<()> {
    let program = program()?;
    let (options, folder, shown) = if args.embedded {
        let WorkerOrders { control, token, name, slots, folder, shown } = orders()?;
        (slipway_worker::Options { control, token, name, slots }, folder, shown)
    } else {
        check_server(&args.server)?;
        let token = files::token(&args.token_file.unwrap_or_default(), TOKEN)?;
        let options = slipway_worker::Options {
            control: args.server.trim_end_matches('/').to_owned(),
            token,
            name: format!("worker-{}-{}", std::process::id(), some_bits()),
            slots: args.slots,
        };
        let folder = whole(&args.data.unwrap_or_else(|| default_data().join("remote-worker")))?;
        let shown = args.tool_paths.iter().map(|path| whole(path)).collect::<Result<Vec<_>, _>>()?;
        (options, folder, if shown.is_empty() { toolchains() } else { shown })
    };
    // Before there is another thread, which would not be held by it.
    let prepared = confine::prepare(&folder, &program, shown).map_err(|error| match &error {
        confine::Error::Folder { .. } => Told::errored("no-folder", error.to_string()).because(error),
        confine::Error::Launcher(_) | confine::Error::Compiler(_) | confine::Error::Confine(_) => {
            Told::errored("not-started", error.to_string()).because(error)
        }
    })?;
    let stop = CancellationToken::new();
    if args.embedded {
        stop_with_parent(stop.clone())?;
    } else {
        stop_with_signal(stop.clone())?;
    }
    slipway_worker::run(options, prepared, &stop).map_err(told)
}

/// This program.
fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// Where toolchains usually are.
fn toolchains() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let own = home.into_iter().flat_map(|home| [".rustup/toolchains", ".cargo/bin"].map(|path| home.join(path)));
    let named = std::env::var_os("SLIPWAY_RUST_TOOLCHAIN").map(PathBuf::from);
    ["/usr", "/opt", "/nix/store"].map(PathBuf::from).into_iter().chain(own).chain(named).collect()
}

/// How a worker gets a token.
const TOKEN: &str = "`slipway token create --role worker --name NAME > FILE` on the server makes one; give it with \
                     `--token-file FILE`";

/// Why a worker ended, in the words of the command line.
fn told(error: slipway_worker::Error) -> anyhow::Error {
    let refused = match &error {
        slipway_worker::Error::Link(slipway_worker::link::Error::NotAccepted { status: 401, .. }) => Some(
            Told::refused("unauthorized", "the server does not know this worker's token: it is wrong, or was revoked"),
        ),
        slipway_worker::Error::Link(slipway_worker::link::Error::NotAccepted { status: 403, .. }) => {
            Some(Told::refused("forbidden", "this token is not one of role `worker`"))
        }
        slipway_worker::Error::Link(_) | slipway_worker::Error::Engine(_) | slipway_worker::Error::Start(_) => None,
    };
    match refused {
        Some(told) => told.hint(TOKEN).because(error),
        None => error.into(),
    }
}

pub(super) fn apps() -> anyhow::Result<()> {
    let AppsOrders { listen, token, cache, expected } = orders()?;
    // As above.
    let compiler = Compiler::start(&program()?, Some(&cache)).context("cannot start the compiler")?;
    if let Err(error) = service::keep(&[], &[])? {
        tracing::warn!(%error, "an app host that is taken over could reach all files of its user");
    }
    let stop = CancellationToken::new();
    stop_with_parent(stop.clone())?;
    let options = slipway_apps::Options {
        listen,
        admin: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        token,
        compiler,
        expected: expected.into_iter().filter_map(|app| AppName::new(app).ok()).collect(),
        limits: slipway_apps::Limits::default(),
    };
    let ready = |bound: slipway_apps::Bound| {
        let ready = AppsReady { listen: bound.listen, admin: bound.admin };
        output::line(serde_json::to_string(&ready).unwrap_or_default());
    };
    tokio::runtime::Runtime::new()?.block_on(slipway_apps::run(options, ready, stop)).map_err(Into::into)
}

/// The one line of JSON that the parent sends.
fn orders<T: DeserializeOwned>() -> anyhow::Result<T> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("the parent process sent no orders")?;
    serde_json::from_str(&line).context("the parent process sent orders that cannot be read")
}

/// Standard input closes when the parent ends, in whatever way: then this process ends.
fn stop_with_parent(stop: CancellationToken) -> anyhow::Result<()> {
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        let mut rest = [0; 64];
        // Anything but more bytes means that the parent is gone.
        while std::io::stdin().lock().read(&mut rest).is_ok_and(|read| read > 0) {}
        stop.cancel();
        // What does not end by itself then, ends here.
        std::thread::sleep(std::time::Duration::from_secs(8));
        std::process::abort();
    })?;
    Ok(())
}

/// A worker of its own ends in good order on Ctrl-C and SIGTERM.
fn stop_with_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            if let Ok(signalled) = stop_on_signal() {
                signalled.cancelled().await;
                stop.cancel();
            }
        });
    })?;
    Ok(())
}

/// What makes the name of a worker another at each start.
fn some_bits() -> String {
    let mut bytes = [0; 8];
    // Linux gives up to 256 bytes whole (getrandom(2)).
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert!(filled == Ok(bytes.len()), "the kernel gives random bytes");
    hex::encode(bytes)
}
