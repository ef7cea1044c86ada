//! The first program inside a sandbox: it sets limits, starts the tool, waits for it and
//! leaves behind what it took.

use super::layers::{Layer, Layers};
use super::{relay, sandbox};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::wait::{WaitStatus, wait};
use serde::{Deserialize, Serialize};
use slipway_confine::files::Files;
use slipway_confine::process;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

/// The command of the `slipway` program that runs [`main`].
pub const COMMAND: &str = "sandbox-init";
/// Where the program is seen inside.
pub const PROGRAM: &str = "/run/slipway/init";
/// The file in which it leaves what the tool took. A file and no folder: the tool can write there
/// too, and could make any number of others.
pub const USAGE: &str = "/run/slipway/usage.json";

/// What the names of variables begin with that the tool gets under the rest of the name.
pub const VARIABLE: &str = "SLIPWAY_TOOL_ENV_";
/// What the names of variables begin with that the tool gets as files, in base 64.
pub const FILE: &str = "SLIPWAY_TOOL_FILE_";
/// The folder of these files.
pub const SECRETS: &str = "/run/secrets";

/// The most processes and threads of the user within a sandbox, all together. The kernel does not count
/// those of root.
const THREADS_MAX: u64 = 4_096;
/// How often processes are counted.
const COUNT: Duration = Duration::from_millis(250);
/// The exit code of what never came to its own end, as programs that run others have it.
const LIMIT: u8 = 125;
/// The largest file, in bytes.
const FILE_BYTES_MAX: u64 = 32 << 30;
/// The most descriptors of a process.
const DESCRIPTORS_MAX: u64 = 65_536;

/// What a tool and all that it started took. Written inside the sandbox, so good for
/// people to see, not for deciding anything.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time, in milliseconds.
    pub cpu_ms: u64,
    /// The largest process, in bytes.
    pub memory_peak_bytes: u64,
    /// The signal that ended the tool.
    pub signal: Option<i32>,
}

/// What the tool is kept to. Written by the launcher, before anything of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The most memory of one process, in bytes; 0 for no limit.
    pub memory_bytes_max: u64,
    /// The most processes.
    pub processes_max: u64,
    /// The layers that are there.
    pub layers: Layers,
    /// The files that it keeps.
    pub files: Files,
    /// What has to be seen where, before the tool is started.
    pub same: Vec<Same>,
}

/// A file or folder that was looked at from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Same {
    /// Where it is seen inside.
    pub inside: String,
    /// The number of its device.
    pub device: u64,
    /// Its own number there.
    pub inode: u64,
}

impl Same {
    fn holds(&self) -> bool {
        std::fs::symlink_metadata(&self.inside)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode)
    }
}

/// Runs a tool: `args` are a [`Confinement`], the program, and its arguments. Exits as the tool did, or
/// with 128 and its signal as shells do.
pub fn main(args: &[String]) -> ExitCode {
    let [confinement, program, args @ ..] = args else {
        return complain("it takes a confinement and a program");
    };
    let confinement: Confinement = match serde_json::from_str(confinement) {
        Ok(confinement) => confinement,
        Err(error) => return complain(&format!("cannot read the confinement: {error}")),
    };
    // What is shown could have been exchanged after it was looked at; what is seen here stays.
    if let Some(other) = confinement.same.iter().find(|same| !same.holds()) {
        return complain(&format!("`{}` is not what was to be shown", other.inside));
    }
    if let Err(error) = limit(confinement.memory_bytes_max) {
        return complain(&format!("cannot set limits: {error}"));
    }
    let is_apart = confinement.layers.contains(&Layer::Namespaces);
    if !is_apart && let Err(error) = process::die_with_parent().and_then(|()| process::adopt_orphans()) {
        return complain(&format!("cannot hold its processes together: {error}"));
    }
    let environment = match environment() {
        Ok(environment) => environment,
        Err(error) => return complain(&format!("cannot write a file of `{SECRETS}`: {error}")),
    };
    if is_apart && let Err(error) = count_processes(confinement.processes_max) {
        return complain(&format!("cannot count processes: {error}"));
    }
    if is_apart
        && Path::new(relay::SOCKET).exists()
        && let Err(error) = relay::start()
    {
        return complain(&format!("cannot pass connections on: {error}"));
    }
    // Last: it holds for all that is started from here on, threads of the relay aside.
    if confinement.layers.contains(&Layer::Files)
        && let Err(error) = slipway_confine::files::keep_to(&confinement.files)
    {
        return complain(&format!("cannot confine the tool: {error}"));
    }
    if confinement.layers.contains(&Layer::SystemCalls)
        && let Err(error) = slipway_confine::system_calls::refuse()
    {
        return complain(&format!("cannot confine the tool: {error}"));
    }
    let tool = match Command::new(program).args(args).env_clear().envs(environment).spawn() {
        Ok(tool) => tool,
        Err(error) => return complain(&format!("cannot start `{program}`: {error}")),
    };
    let (code, signal) = match wait_for(&tool) {
        Ok(end) => end,
        Err(error) => return complain(&format!("cannot wait for `{program}`: {error}")),
    };
    if !is_apart {
        // No namespace ends with this process, and takes what is left with it.
        sandbox::kill_all_of(std::process::id());
    }
    let usage = usage(signal);
    if is_apart
        && let Ok(text) = serde_json::to_string(&usage)
        && let Err(error) = std::fs::write(USAGE, text)
    {
        return complain(&format!("cannot tell what the tool took: {error}"));
    }
    let code = code.or_else(|| signal.map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Sets what each process may take.
fn limit(memory_bytes_max: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NPROC, THREADS_MAX, THREADS_MAX)?;
    setrlimit(Resource::RLIMIT_FSIZE, FILE_BYTES_MAX, FILE_BYTES_MAX)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(DESCRIPTORS_MAX), hard.min(DESCRIPTORS_MAX))?;
    if memory_bytes_max > 0 {
        // Not the address space, of which compilers and runtimes reserve far more than they use.
        setrlimit(Resource::RLIMIT_DATA, memory_bytes_max, memory_bytes_max)?;
    }
    Ok(())
}

/// Ends everything when there are too many processes. The kernel's own counts come first; this one holds
/// where they do not: for root, without a control group.
fn count_processes(processes_max: u64) -> io::Result<()> {
    // Of the machine's processes, the first to go when memory runs out. Where that cannot be said, it is not.
    let _unheard = std::fs::write("/proc/self/oom_score_adj", "500").is_err();
    let is_process = |name: &std::ffi::OsStr| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
    std::thread::Builder::new().name("count".into()).spawn(move || {
        loop {
            let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
            let count = entries.filter(|entry| is_process(&entry.file_name())).count();
            if u64::try_from(count).unwrap_or(u64::MAX) > processes_max {
                complain(&format!("the tool is ended: it has more than {processes_max} processes"));
                // With the first process everything inside ends.
                std::process::abort();
            }
            std::thread::sleep(COUNT);
        }
    })?;
    Ok(())
}

/// The tool's environment. Files that it is to find are written on the way.
fn environment() -> io::Result<Vec<(OsString, OsString)>> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        if let Some(name) = name.strip_prefix(VARIABLE) {
            environment.push((name.into(), value));
        } else if let Some(name) = name.strip_prefix(FILE) {
            let value = STANDARD.decode(value.as_bytes()).map_err(io::Error::other)?;
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o400).open(Path::new(SECRETS).join(name))?;
            file.write_all(&value)?;
        }
    }
    if let Ok(directory) = std::env::current_dir() {
        environment.push(("PWD".into(), directory.into()));
    }
    Ok(environment)
}

/// Waits for the tool, and takes leave of all whose parents ended before them: this is the
/// first process of the sandbox. Returns its exit code or the signal that ended it.
fn wait_for(tool: &Child) -> nix::Result<(Option<i32>, Option<i32>)> {
    loop {
        let status = match wait() {
            Err(nix::errno::Errno::EINTR) => continue,
            status => status?,
        };
        if status.pid().is_none_or(|pid| pid.as_raw().unsigned_abs() != tool.id()) {
            continue;
        }
        match status {
            WaitStatus::Exited(_, code) => return Ok((Some(code), None)),
            WaitStatus::Signaled(_, signal, _) => return Ok((None, Some(signal as i32))),
            WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => {}
        }
    }
}

fn usage(signal: Option<i32>) -> Usage {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Usage { signal, ..Usage::default() } };
    let ms = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000 + time.tv_usec() / 1_000;
    Usage {
        cpu_ms: u64::try_from(ms(usage.user_time()) + ms(usage.system_time())).unwrap_or(0),
        // Linux gives kibibytes (getrusage(2)).
        memory_peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) << 10,
        signal,
    }
}

#[expect(clippy::print_stderr, reason = "standard error is where the stage's log comes from")]
fn complain(message: &str) -> ExitCode {
    eprintln!("slipway {COMMAND}: {message}");
    ExitCode::from(LIMIT)
}
