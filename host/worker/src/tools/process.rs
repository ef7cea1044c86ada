//! A running tool: its output, line by line to the log and piece by piece to the guest,
//! and its end.

use super::init::Usage;
use super::launcher::Launched;
use super::network::Proxy;
use super::sandbox;
use crate::beneath::Root;
use crate::clock;
use crate::log::Lines;
use crate::remove::remove_all;
use crate::session::Session;
use slipway_protocol::call::ToolExit;
use slipway_protocol::outcome::Failure;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, watch};
use zeroize::Zeroizing;

/// The most bytes of one output.
const PIECE_BYTES: usize = 64 << 10;
/// How many outputs wait for the guest before the tool has to.
const PIECES: usize = 16;

/// The most bytes of what a tool took.
const USAGE_BYTES_MAX: u64 = 4 << 10;

type Output = (&'static str, Vec<u8>);

/// What has happened to a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolEvent {
    /// It wrote bytes to the stream of this name.
    Output(&'static str, Vec<u8>),
    /// It has ended, and all that it wrote was handed out.
    Ended,
}

/// A tool that was started. Dropping it ends the tool and all that it started; when that has
/// happened, [`Session::tools_ended`] tells.
pub struct ToolProcess {
    output: mpsc::Receiver<Output>,
    exit: watch::Receiver<Option<Result<ToolExit, Failure>>>,
    kill: Arc<Notify>,
}

impl Drop for ToolProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl ToolProcess {
    /// Waits for what happens next. Nothing is lost when the future is dropped before.
    pub async fn next(&mut self) -> Result<ToolEvent, Failure> {
        match self.output.recv().await {
            Some((stream, bytes)) => Ok(ToolEvent::Output(stream, bytes)),
            None => self.end().await.map(|_exit| ToolEvent::Ended),
        }
    }

    /// Waits for the end, passing over output. Nothing else is lost when the future is dropped
    /// before.
    pub async fn wait(&mut self) -> Result<ToolExit, Failure> {
        while self.output.recv().await.is_some() {}
        self.end().await
    }

    async fn end(&mut self) -> Result<ToolExit, Failure> {
        match self.exit.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(exit)) => exit.clone(),
            Ok(None) | Err(_) => Err(Failure::new("tool-lost", "the tool's end was not seen")),
        }
    }

    /// Ends the tool.
    pub fn kill(&self) {
        self.kill.notify_one();
    }
}

/// What a tool has from outside.
pub struct Input {
    /// What it reads from standard input.
    pub stdin: Zeroizing<Vec<u8>>,
    /// Its way to the network, where it has one.
    pub proxy: Option<Proxy>,
}

/// Attends to a tool that was launched. `scratch` is removed with it.
pub fn attend(
    session: Arc<Session>,
    seq: u64,
    launched: Launched,
    scratch: PathBuf,
    name: &str,
    Input { stdin, proxy }: Input,
) -> ToolProcess {
    let scratch = Scratch(scratch);
    let (output_sender, output) = mpsc::channel(PIECES);
    let (exit_sender, exit) = watch::channel(None);
    let kill = Arc::new(Notify::new());
    let in_sandbox = session.tool_begins();
    let running = Running { session, scratch, source: format!("tool:{name}"), began: clock::instant() };
    let killed = Arc::clone(&kill);
    tokio::spawn(async move {
        let exit = running.run(launched, stdin, output_sender, &killed).await;
        if let Some(proxy) = proxy {
            proxy.end().await;
        }
        // From here on nothing of it runs, whether control hears of it soon or late.
        drop(in_sandbox);
        if let Ok(exit) = exit {
            running.session.tool_exited(seq, exit).await;
        }
        exit_sender.send_replace(Some(exit));
    });
    ToolProcess { output, exit, kill }
}

struct Running {
    session: Arc<Session>,
    scratch: Scratch,
    source: String,
    began: Instant,
}

/// A sandbox's folder, removed when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.0);
        let remove = move || {
            if let Err(error) = remove_all(&folder) {
                tracing::debug!(folder = %folder.display(), %error, "cannot remove a sandbox's folder");
            }
        };
        // Not on a thread that guests wait for. Without a runtime the worker is ending, and the
        // next one removes what is left.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(remove));
        }
    }
}

impl Running {
    async fn run(
        &self,
        mut launched: Launched,
        stdin: Zeroizing<Vec<u8>>,
        output: mpsc::Sender<Output>,
        killed: &Notify,
    ) -> Result<ToolExit, Failure> {
        let (stdout, stderr, to) = (launched.stdout.take(), launched.stderr.take(), launched.stdin.take());
        let output_of_stderr = output.clone();
        let write = async {
            if let Some(mut to) = to {
                // A tool that does not read to the end closes the pipe; that is its right.
                let _closed = to.write_all(&stdin).await.is_err();
            }
        };
        let read = async {
            tokio::join!(
                self.pump("stdout", "debug", stdout, output),
                self.pump("stderr", "info", stderr, output_of_stderr),
                write
            );
        };
        let ((), ended) = tokio::join!(read, launched.ended(killed.notified()));
        let ended = ended.map_err(|error| Failure::new("tool-lost", format!("the tool was lost: {error}")))?;
        if let Some((code, message)) = ended.refused {
            return Err(Failure::new(code, message));
        }
        if let Some(limit) = ended.limit {
            let message = format!("the tool was ended: {limit}");
            self.session.log.write("host", "error", message.clone(), Vec::new());
            return Err(Failure::new("limit", message));
        }
        Ok(self.exit(ended.code, ended.signal))
    }

    /// Reads one stream to its end.
    async fn pump(
        &self,
        name: &'static str,
        level: &str,
        stream: Option<impl AsyncRead + Unpin>,
        output: mpsc::Sender<Output>,
    ) {
        let Some(mut stream) = stream else { return };
        let mut lines = Lines::default();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let read = match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            let piece = buffer.get(..read).unwrap_or_default();
            for line in lines.push(piece) {
                self.session.log.write(&self.source, level, line, Vec::new());
            }
            // A guest that has let go of the process no longer reads.
            if output.send((name, piece.to_vec())).await.is_err() {
                break;
            }
        }
        if let Some(line) = lines.finish() {
            self.session.log.write(&self.source, level, line, Vec::new());
        }
    }

    fn exit(&self, code: Option<i32>, signal: Option<i32>) -> ToolExit {
        let usage = usage(&self.scratch.0);
        let signal = signal.or(usage.signal);
        ToolExit {
            code: if signal.is_some() { None } else { code },
            signal,
            cpu_ms: usage.cpu_ms,
            memory_peak_bytes: usage.memory_peak_bytes,
            wall_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// What the program in the sandbox has left. The tool could write there too, so it is read
/// as anything of a tool: no link is followed, no pipe waited for, and only a little is read.
fn usage(scratch: &Path) -> Usage {
    let read = || -> io::Result<Usage> {
        let file = Root::open(scratch)?.read(sandbox::USAGE_FILE)?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, USAGE_BYTES_MAX), &mut text)?;
        Ok(serde_json::from_str(&text)?)
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Exit = Option<Result<ToolExit, Failure>>;

    fn process(output: mpsc::Receiver<Output>, exit: watch::Receiver<Exit>) -> ToolProcess {
        ToolProcess { output, exit, kill: Arc::default() }
    }

    #[tokio::test]
    async fn the_end_comes_after_the_output_and_is_told_as_often_as_it_is_asked_for() {
        let (output_sender, output) = mpsc::channel(PIECES);
        let (exit_sender, exit) = watch::channel(None);
        let mut process = process(output, exit);
        output_sender.send(("stdout", b"a".to_vec())).await.unwrap();
        exit_sender.send_replace(Some(Ok(ToolExit::default())));
        drop(output_sender);
        assert_eq!(process.next().await.unwrap(), ToolEvent::Output("stdout", b"a".to_vec()));
        for _ in 0..2 {
            assert_eq!(process.next().await.unwrap(), ToolEvent::Ended);
        }
        assert_eq!(process.wait().await.unwrap(), ToolExit::default());
    }

    #[tokio::test]
    async fn a_tool_whose_end_is_not_seen_is_lost_and_has_not_ended() {
        let (output_sender, output) = mpsc::channel(PIECES);
        let (exit_sender, exit) = watch::channel(None);
        let mut process = process(output, exit);
        drop((output_sender, exit_sender));
        assert_eq!(process.next().await.unwrap_err().code, "tool-lost");
        assert_eq!(process.wait().await.unwrap_err().code, "tool-lost");
    }
}
