//! How git is run: with no configuration but ours, no hooks, no prompts, and an end.

use super::error::Error;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Variables of our own environment that git may see: where to find certificates and
/// the way out of a closed network.
const PASSED_ON: [&str; 8] = [
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];
/// The most bytes that git may print.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;
/// The most bytes of what it complains about.
const COMPLAINT_BYTES_MAX: u64 = 1 << 20;

/// A git command on a repository of ours.
pub(super) fn git(repository: Option<&Path>) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "/bin/false")
        .env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh")
        .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        // A repository of this machine may be a partial clone that would fetch what it lacks.
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C");
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for setting in [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "gc.auto=0",
        // A mirror's refs stay files, whose times tell how old they are.
        "gc.packRefs=false",
        "maintenance.auto=false",
        "transfer.fsckObjects=true",
    ] {
        command.args(["-c", setting]);
    }
    if let Some(repository) = repository {
        command.arg("--git-dir").arg(repository);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // What it starts itself, such as `ssh`, ends with it.
    command.process_group(0);
    command
}

/// How many git processes run at once; others wait for their turn.
static PLACES: Semaphore = Semaphore::const_new(16);

/// Runs a command to its end and returns what it printed, or what git complained about.
pub(super) async fn run(mut command: Command, limit: Duration) -> Result<Vec<u8>, Error> {
    let cannot = |source| Error::Io { what: "cannot run git", source };
    let _place = PLACES.acquire().await.map_err(|closed| cannot(io::Error::other(closed)))?;
    let mut child = match command.spawn() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoGit),
        spawned => spawned.map_err(cannot)?,
    };
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let told = async {
        tokio::try_join!(at_most(stdout, OUTPUT_BYTES_MAX), at_most(stderr, COMPLAINT_BYTES_MAX), child.wait())
    };
    let (printed, complaint, status) = match tokio::time::timeout(limit, told).await {
        Err(_elapsed) => return Err(Error::Timeout { seconds: limit.as_secs() }),
        Ok(told) => told.map_err(cannot)?,
    };
    group.has_ended();
    if status.success() {
        return Ok(printed);
    }
    Err(Error::told(&String::from_utf8_lossy(&complaint)))
}

/// The processes of a git that runs. Dropped, it ends them all: git alone would leave those behind
/// that wait for the other side.
struct Group(Option<Pid>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended meanwhile.
            let _gone = kill_process_group(group, Signal::KILL).is_err();
        }
    }
}

/// Reads to the end; more than so many bytes are an error.
async fn at_most(from: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(bytes_max + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it prints more than {bytes_max} bytes")));
    }
    Ok(bytes)
}
