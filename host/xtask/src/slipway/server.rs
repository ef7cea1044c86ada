//! `slipway serve`, as a child that ends with this program.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::wire::Ready;
use crate::env::Env;
use crate::group::Group;
use crate::interrupt;

/// How long the server may take to be ready.
const START_LIMIT: Duration = Duration::from_secs(60);

const GLANCE: Duration = Duration::from_millis(20);

/// How much of its log is shown when it ended by itself.
const LAST_LINES: usize = 40;

/// Where the server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    api: u16,
    apps: u16,
}

impl Addresses {
    /// On this port and the next one, or on free ones.
    pub(crate) fn new(port: Option<u16>) -> Self {
        let api = port.unwrap_or(0);
        Self { api, apps: port.map_or(0, |port| port.saturating_add(1)) }
    }
}

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// The folder for its data and its log.
    pub(crate) home: &'a Path,
    /// The Rust toolchain for its stages, where it need not find one by itself.
    pub(crate) toolchain: Option<&'a Path>,
    /// Where it listens.
    pub(crate) addresses: Addresses,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Server {
    group: Group,
    log: PathBuf,
    /// What it said when it was ready.
    pub(crate) ready: Ready,
}

impl Server {
    /// Starts a server with its data in `home` and waits until it is ready.
    pub(crate) fn start(env: &Env, start: Start<'_>) -> Result<Self> {
        let Start { program, home, toolchain, addresses } = start;
        let log = home.join("server.log");
        let mut command = env.command(program);
        command
            .args(["serve", "--json", "--listen", &format!("127.0.0.1:{}", addresses.api)])
            .args(["--apps-listen", &format!("127.0.0.1:{}", addresses.apps), "--data"])
            .arg(home.join("data"))
            .envs(toolchain.map(|toolchain| ("SLIPWAY_RUST_TOOLCHAIN", toolchain)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        let mut group = Group::start("the server", command)?;
        let stdout = group.stdout()?;
        let ready = Ready { api: String::new(), apps: String::new(), token_file: PathBuf::new() };
        let mut server = Self { group, log, ready };
        server.ready = server.wait_until_ready(stdout)?;
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.group.id()
    }

    fn wait_until_ready(&mut self, stdout: ChildStdout) -> Result<Ready> {
        let (lines, started) = (lines(stdout), Instant::now());
        while started.elapsed() < START_LIMIT {
            match lines.recv_timeout(GLANCE) {
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(ready) => return Ok(ready),
                    Err(_) => continue,
                },
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // It closed its output, most likely because it ends.
                Err(mpsc::RecvTimeoutError::Disconnected) => std::thread::sleep(GLANCE),
            }
            self.check()?;
            interrupt::pause(Duration::ZERO)?;
        }
        bail!("the server was not ready within {} s\n{}", START_LIMIT.as_secs(), self.last_lines())
    }

    /// Fails if the server has ended by itself.
    fn check(&mut self) -> Result<()> {
        let Some(status) = self.group.ended()? else { return Ok(()) };
        bail!("the server ended by itself with {status}\n{}", self.last_lines())
    }

    /// Says more about a failure, if it is that the server has ended by itself.
    pub(crate) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        // Its connections close a moment before it is gone.
        std::thread::sleep(GLANCE);
        match self.check() {
            Ok(()) => error,
            Err(ended) => error.context(ended.to_string()),
        }
    }

    /// Waits for Ctrl-C, then ends the server.
    pub(crate) fn attend(mut self) -> Result<()> {
        while !interrupt::asked() {
            self.check()?;
            std::thread::sleep(GLANCE);
        }
        self.group.end()
    }

    /// Ends the server.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.group.end()
    }

    /// The end of its log, for a message.
    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
    }
}

/// Reads lines on a thread of its own, to the end: nobody may find the pipe closed.
fn lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody listens any more once it is ready.
            let _unheard = sender.send(line);
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("slipway");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn start(folder: &Path, script: &str) -> Result<Server> {
        let env = Env::find().unwrap();
        let (program, toolchain) = (program(folder, script), Some(Path::new("/toolchain")));
        let addresses = Addresses::new(Some(7000));
        Server::start(&env, Start { program: &program, home: folder, toolchain, addresses })
    }

    #[test]
    fn a_server_is_told_where_to_listen_and_ends_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo \"$* $SLIPWAY_RUST_TOOLCHAIN\" > \"$8.arguments\"\n\
             echo starting\n\
             echo '{\"ready\":true,\"api\":\"http://127.0.0.1:7000\",\"apps\":\"x\",\"token_file\":\"/t\"}'\n\
             trap 'exit 0' TERM\nwhile :; do sleep 0.05; done";
        let server = start(folder.path(), script).unwrap();
        assert_eq!(server.ready.api, "http://127.0.0.1:7000");
        let told = std::fs::read_to_string(folder.path().join("data.arguments")).unwrap();
        assert!(
            told.starts_with("serve --json --listen 127.0.0.1:7000 --apps-listen 127.0.0.1:7001 --data /"),
            "{told}"
        );
        assert!(told.ends_with("/data /toolchain\n"), "{told}");
        server.stop().unwrap();
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let message = start(folder.path(), "echo 'error: port 7000 is in use' >&2; exit 3").unwrap_err().to_string();
        assert_eq!(message, "the server ended by itself with exit status: 3\nerror: port 7000 is in use");
    }

    #[test]
    fn a_port_brings_its_neighbour() {
        assert_eq!(Addresses::new(Some(7077)), Addresses { api: 7077, apps: 7078 });
        assert_eq!(Addresses::new(None), Addresses { api: 0, apps: 0 });
    }
}
