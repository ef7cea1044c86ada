//! The worker's side of the launcher.

use super::COMMAND;
use super::order::{Ended, Order, Settings};
use slipway_confine::wire;
use slipway_protocol::message::encode;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Stream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};
use zeroize::Zeroizing;

/// The longest end of a tool that is read, in bytes.
const ENDED_BYTES_MAX: u64 = 16 << 10;

/// A launcher. Clones share it. It ends with the worker.
#[derive(Clone)]
pub struct Launcher(Option<Arc<Running>>);

struct Running {
    orders: Mutex<Stream>,
    /// Kept, so that it is waited for by nobody else.
    _child: Child,
}

impl Launcher {
    /// Starts one. Called before this process gives up anything.
    pub fn start(program: &Path, settings: &Settings) -> io::Result<Self> {
        let (orders, theirs) = Stream::pair()?;
        let mut command = Command::new(program);
        command.arg(COMMAND).env_clear();
        command.envs(["PATH", "SLIPWAY_LOG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).spawn()?;
        wire::send(&orders, &encode(settings), &[])?;
        Ok(Self(Some(Arc::new(Running { orders: Mutex::new(orders), _child: child }))))
    }

    /// One that starts nothing, for workers without tools.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Has a tool started.
    pub async fn launch(&self, order: &Order, with_stdin: bool) -> io::Result<Launched> {
        let running = self.0.clone().ok_or_else(|| io::Error::other("this worker runs no tools"))?;
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (their_stdin, stdin) = pipe()?;
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        let (control, their_control) = UnixStream::pair()?;
        let their_control = their_control.into_std()?;
        their_control.set_nonblocking(false)?;
        let message = Zeroizing::new(encode(order));
        let sent = tokio::task::spawn_blocking(move || {
            let files = [their_stdin.as_fd(), their_stdout.as_fd(), their_stderr.as_fd(), their_control.as_fd()];
            let orders = running.orders.lock().unwrap_or_else(PoisonError::into_inner);
            wire::send(&orders, &message, &files)
        });
        sent.await.map_err(io::Error::other)??;
        Ok(Launched {
            // What is closed at once reads as empty.
            stdin: if with_stdin { Some(Sender::from_owned_fd(stdin)?) } else { None },
            stdout: Some(Receiver::from_owned_fd(stdout)?),
            stderr: Some(Receiver::from_owned_fd(stderr)?),
            control,
        })
    }
}

/// A tool that was handed to the launcher. Dropping it ends the tool.
pub struct Launched {
    /// What it reads, where it was wanted.
    pub stdin: Option<Sender>,
    /// What it writes.
    pub stdout: Option<Receiver>,
    /// What it writes to standard error.
    pub stderr: Option<Receiver>,
    control: UnixStream,
}

impl Launched {
    /// Waits for its end, which `kill` brings about. When this returns, nothing of it runs.
    pub async fn ended(&mut self, kill: impl Future<Output = ()>) -> io::Result<Ended> {
        let (mut from, mut to) = self.control.split();
        let end = async {
            let mut bytes = Vec::new();
            (&mut from).take(ENDED_BYTES_MAX).read_to_end(&mut bytes).await?;
            serde_json::from_slice(&bytes).map_err(|_| io::Error::other("the launcher of tools has ended"))
        };
        let mut end = std::pin::pin!(end);
        tokio::select! {
            ended = &mut end => ended,
            () = kill => {
                // It may have ended by itself meanwhile.
                let _gone = to.shutdown().await.is_err();
                end.await
            }
        }
    }
}
