//! Native programs, run in a sandbox beside the stage.
//!
//! A tool is named by the operator's toolchain entry; the pipeline grants it by that
//! name. There is no shell: arguments reach the program byte for byte. What a program
//! prints also goes to the stage's log, line by line, without any doing of the stage.

use std::time::Duration;

use crate::Failure;
#[cfg(target_arch = "wasm32")]
use crate::host::Host as _;
use crate::host::{self, RunningProcess};
use crate::run;
use crate::secrets::Secret;

mod lines;

pub use lines::{Line, Lines};

/// Begins a command: `tool` is the toolchain entry, `program` one of its programs.
pub fn command(tool: impl Into<String>, program: impl Into<String>) -> Command {
    Command {
        tool: tool.into(),
        program: program.into(),
        args: Vec::new(),
        env: Vec::new(),
        directory: String::new(),
        stdin: Vec::new(),
        details: Vec::new(),
    }
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The toolchain entry, such as `rust`.
    pub tool: String,
    /// One of the entry's programs, such as `cargo`.
    pub program: String,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// Variables to add to the entry's own environment.
    pub env: Vec<(String, String)>,
    /// Working directory relative to `/work`; empty for `/work` itself.
    pub directory: String,
    /// What the program reads from standard input.
    pub stdin: Vec<u8>,
    /// More wishes. None are known yet.
    pub details: Vec<(String, String)>,
}

impl Command {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory, relative to `/work`.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Sets what the program reads from standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Sets a variable of the environment to a secret.
    #[must_use]
    pub fn secret_env<'a>(self, name: &str, secret: &'a Secret) -> Launch<'a> {
        Launch::new(self).secret_env(name, secret)
    }

    /// Gives the program a secret as the file `/run/secrets/<name>`.
    #[must_use]
    pub fn secret_file<'a>(self, name: &str, secret: &'a Secret) -> Launch<'a> {
        Launch::new(self).secret_file(name, secret)
    }

    /// Lets the program read a secret from standard input, after what [`stdin`](Command::stdin) set.
    #[must_use]
    pub fn secret_stdin(self, secret: &Secret) -> Launch<'_> {
        Launch::new(self).secret_stdin(secret)
    }

    /// Starts the program.
    ///
    /// # Errors
    /// Fails with `not-granted`, `unknown-tool`, `unknown-program`, `invalid-directory`,
    /// `invalid-command`, `too-large` or `sandbox-unavailable`.
    pub fn start(&self) -> Result<Process, Failure> {
        Ok(Process { handle: host::with(|host| host.tools_start(self))?, lost: None })
    }

    /// Runs the program to its end. An unsuccessful end is an [`Exit`] too: see
    /// [`Exit::check`].
    ///
    /// # Errors
    /// Fails like [`start`](Command::start) and [`wait`](Process::wait).
    pub fn run(&self) -> Result<Exit, Failure> {
        self.start()?.wait()
    }

    /// Runs the program to its end and keeps what it wrote to standard output.
    ///
    /// # Errors
    /// Fails like [`start`](Command::start) and [`wait`](Process::wait).
    pub fn capture(&self) -> Result<Captured, Failure> {
        self.start()?.capture()
    }
}

/// A command with secrets, which the program gets and the stage does not see.
pub struct Launch<'a> {
    command: Command,
    secrets: Vec<(Place, &'a Secret)>,
}

/// How a program gets a secret.
enum Place {
    Env(String),
    File(String),
    Stdin,
}

impl<'a> Launch<'a> {
    fn new(command: Command) -> Self {
        Self { command, secrets: Vec::new() }
    }

    fn with(mut self, place: Place, secret: &'a Secret) -> Self {
        self.secrets.push((place, secret));
        self
    }

    /// As [`Command::secret_env`].
    #[must_use]
    pub fn secret_env(self, name: &str, secret: &'a Secret) -> Self {
        self.with(Place::Env(name.into()), secret)
    }

    /// As [`Command::secret_file`].
    #[must_use]
    pub fn secret_file(self, name: &str, secret: &'a Secret) -> Self {
        self.with(Place::File(name.into()), secret)
    }

    /// As [`Command::secret_stdin`].
    #[must_use]
    pub fn secret_stdin(self, secret: &'a Secret) -> Self {
        self.with(Place::Stdin, secret)
    }

    /// Starts the program.
    ///
    /// # Errors
    /// Fails like [`Command::start`], with `not-granted` for a secret, with `unknown-secret`, or with
    /// `invalid-command` for a name that cannot be one of a variable or a file.
    pub fn start(&self) -> Result<Process, Failure> {
        let launch = host::with(|host| host.tools_launch(&self.command));
        for (place, secret) in &self.secrets {
            let handle = secret.handle.as_ref();
            match place {
                Place::Env(name) => launch.secret_env(name, handle),
                Place::File(name) => launch.secret_file(name, handle),
                Place::Stdin => launch.secret_stdin(handle),
            }
        }
        Ok(Process { handle: launch.start()?, lost: None })
    }

    /// Runs the program to its end, as [`Command::run`].
    ///
    /// # Errors
    /// Fails like [`start`](Launch::start) and [`wait`](Process::wait).
    pub fn run(&self) -> Result<Exit, Failure> {
        self.start()?.wait()
    }

    /// Runs the program to its end and keeps what it wrote to standard output.
    ///
    /// # Errors
    /// Fails like [`start`](Launch::start) and [`wait`](Process::wait).
    pub fn capture(&self) -> Result<Captured, Failure> {
        self.start()?.capture()
    }
}

impl std::fmt::Debug for Launch<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Launch").field("command", &self.command).finish_non_exhaustive()
    }
}

/// Which of a program's two streams something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes that a program wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it wrote them.
    pub stream: Stream,
    /// What it wrote, as it came: a piece may end in the middle of a line.
    pub bytes: Vec<u8>,
}

/// What has happened to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It wrote something.
    Output(Output),
    /// It has ended, and all that it wrote was handed out.
    Ended,
}

/// What a program printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

/// How a program ended, as the host saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// The exit status, or `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// User and system time of all its processes, in milliseconds.
    pub cpu_ms: u64,
    /// The largest memory of one of its processes, in bytes.
    pub memory_peak_bytes: u64,
    /// Time from start to end, in milliseconds.
    pub wall_ms: u64,
    /// More facts. None are known yet.
    pub details: Vec<(String, String)>,
}

impl Exit {
    /// Says whether the program ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Turns an unsuccessful end into a failure that calls the program `what`.
    ///
    /// # Errors
    /// Fails with `tool-failed`; the details hold the status or the signal.
    pub fn check(self, what: &str) -> Result<Self, Failure> {
        if self.success() {
            return Ok(self);
        }
        Err(match (self.code, self.signal) {
            (Some(code), _) => {
                Failure::new("tool-failed", format!("`{what}` ended with status {code}")).detail("status", code)
            }
            (None, Some(signal)) => {
                Failure::new("tool-failed", format!("`{what}` was ended by signal {signal}")).detail("signal", signal)
            }
            (None, None) => Failure::new("tool-failed", format!("`{what}` did not end by itself")),
        })
    }
}

/// How long the host is asked to wait at a time. It says at once when the run is cancelled,
/// so this is only how often it is asked.
const LOOK_MS: u32 = 10_000;

/// A running program, as an iterator over what it writes. The iterator stops when the program
/// has ended, when the host has lost it, and when the run is cancelled;
/// [`wait`](Process::wait) tells which. Dropping it ends the program and all it started.
pub struct Process {
    handle: Box<dyn RunningProcess>,
    lost: Option<Failure>,
}

impl Process {
    /// Iterates over whole lines of both streams, until the program has ended or the run is
    /// cancelled.
    pub fn lines(&mut self) -> Lines<'_> {
        Lines::new(self)
    }

    /// Waits at most `within` for what happens next, and returns `None` when nothing has. This
    /// is the way to serve several programs, or to do something else while one is silent.
    ///
    /// # Errors
    /// Fails with `tool-lost` when the host does not know what became of the program.
    pub fn next_within(&mut self, within: Duration) -> Result<Option<Event>, Failure> {
        self.handle.next(u32::try_from(within.as_millis()).unwrap_or(u32::MAX))
    }

    /// Waits for the end, passing over output that was not read.
    ///
    /// # Errors
    /// Fails with `tool-lost` when the host does not know what became of the program, and with
    /// `cancelled` when the run was cancelled before it ended: then the program is ended.
    pub fn wait(self) -> Result<Exit, Failure> {
        if let Some(lost) = self.lost {
            return Err(lost);
        }
        loop {
            // Asked for even when the run is cancelled: it may have ended before.
            let within_ms = if run::cancelled() { 0 } else { LOOK_MS };
            match self.handle.wait(within_ms)? {
                Some(exit) => return Ok(exit),
                None if run::cancelled() => return Err(Failure::new("cancelled", "the run was cancelled")),
                None => {}
            }
        }
    }

    /// Ends the program now.
    pub fn kill(&self) {
        self.handle.kill();
    }

    fn capture(mut self) -> Result<Captured, Failure> {
        let mut stdout = Vec::new();
        for output in self.by_ref() {
            if output.stream == Stream::Stdout {
                stdout.extend(output.bytes);
            }
        }
        Ok(Captured { stdout, exit: self.wait()? })
    }
}

impl Iterator for Process {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        while self.lost.is_none() && !run::cancelled() {
            match self.handle.next(LOOK_MS) {
                Ok(Some(Event::Output(output))) => return Some(output),
                Ok(Some(Event::Ended)) => return None,
                Ok(None) => {}
                Err(lost) => self.lost = Some(lost),
            }
        }
        None
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Process").finish_non_exhaustive()
    }
}
