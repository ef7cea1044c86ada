//! The process beside whoever runs components: keeps code, and has it made.

use super::alone::{self, MEMORY_BYTES_MAX, REFUSED};
use super::kept::{self, Kept};
use super::{ALONE_COMMAND, Outcome};
use crate::clock;
use crate::config::config;
use slipway_confine::{service, wire};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use wasmtime::Engine;

/// The command of the `slipway` program that runs [`main`].
pub const COMMAND: &str = "compiler";
/// How long compiling one component may take.
const TIME: Duration = Duration::from_secs(30);
/// How often it is looked whether that is over.
const LOOK: Duration = Duration::from_millis(5);
/// How many components are compiled at the same time: each takes all processors.
const AT_ONCE: u32 = 2;
/// The most bytes of code of one component.
const CODE_BYTES_MAX: u64 = 512 << 20;

struct Server {
    program: PathBuf,
    /// Nothing is kept without a folder.
    kept: Option<Kept>,
    /// What the engine was built for, by which the code of others is told apart.
    engine: String,
    room: (Mutex<u32>, Condvar),
}

/// Takes components from standard input, a Unix socket, until it is closed.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some((folder, _)) = wire::receive(&orders)? else { return Ok(()) };
    let folder = (!folder.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_vec(folder)));
    let kept = folder.as_deref().map(Kept::open).transpose()?;
    let program = std::env::current_exe()?;
    // What it is without Landlock is still a process that runs nothing of what it is given.
    let _without_landlock =
        service::keep(std::slice::from_ref(&program), folder.as_slice()).map_err(io::Error::other)?;
    let engine =
        config().and_then(|config| Engine::new(&config)).map_err(|error| io::Error::other(format!("{error:#}")))?;
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let engine = format!("{:016x}", hasher.finish());
    let server = Arc::new(Server { program, kept, engine, room: (Mutex::new(AT_ONCE), Condvar::new()) });
    while let Some((_, files)) = wire::receive(&orders)? {
        let Ok([component, code, control]) = <[OwnedFd; 3]>::try_from(files) else {
            return Err(io::Error::other("a component came without its files"));
        };
        let server = Arc::clone(&server);
        thread::Builder::new().name("component".into()).spawn(move || {
            let outcome = server.compile(component.into(), code.into());
            let outcome =
                outcome.unwrap_or_else(|error| Outcome::Trouble(format!("it cannot be compiled now: {error}")));
            let text = serde_json::to_vec(&outcome).unwrap_or_default();
            // Whoever wanted it may be gone.
            let _gone = UnixStream::from(control).write_all(&text).is_err();
        })?;
    }
    Ok(())
}

impl Server {
    fn compile(&self, component: File, mut code: File) -> io::Result<Outcome> {
        // Read once: whoever sent it can still change it.
        let mut bytes = Vec::new();
        let limit = crate::COMPONENT_BYTES_MAX as u64 + 1;
        component.take(limit).read_to_end(&mut bytes)?;
        let name = kept::name(&bytes, &self.engine);
        let found = self.kept.as_ref().and_then(|kept| kept.get(&name));
        let compiled = match found {
            Some(found) => found,
            None => {
                self.enter();
                let made = self.make(bytes);
                self.leave();
                match made? {
                    Ok(made) => {
                        if let Some(Err(error)) = self.kept.as_ref().map(|kept| kept.put(&name, &made)) {
                            tracing::warn!(%error, "compiled code cannot be kept");
                        }
                        made
                    }
                    Err(outcome) => return Ok(outcome),
                }
            }
        };
        code.write_all(&compiled)?;
        Ok(Outcome::Compiled)
    }

    /// Has a component compiled by a process of its own.
    fn make(&self, bytes: Vec<u8>) -> io::Result<Result<Vec<u8>, Outcome>> {
        let mut command = Command::new(&self.program);
        command.arg(ALONE_COMMAND).env_clear();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let taken = |what: &str| io::Error::other(format!("the process has no {what}"));
        let mut stdin = child.stdin.take().ok_or_else(|| taken("input"))?;
        let stdout = child.stdout.take().ok_or_else(|| taken("output"))?;
        let stderr = child.stderr.take().ok_or_else(|| taken("errors"))?;
        let write = thread::spawn(move || stdin.write_all(&bytes));
        let output = thread::spawn(move || read(stdout, CODE_BYTES_MAX));
        let errors = thread::spawn(move || read(stderr, 64 << 10));
        let in_time = wait(&mut child)?;
        // One that ends early closes its input.
        let _ended = write.join().is_ok_and(|written| written.is_err());
        let output = output.join().map_err(|_| taken("output"))??;
        let errors = String::from_utf8_lossy(&errors.join().map_err(|_| taken("errors"))??).trim().to_owned();
        let status = child.wait()?;
        let outcome = match status.code() {
            _ if !in_time => Outcome::TooMuch(format!("it takes longer than {} s to compile", TIME.as_secs())),
            Some(0) if output.len() as u64 > CODE_BYTES_MAX => {
                Outcome::TooMuch(format!("its code has more than {} MiB", CODE_BYTES_MAX >> 20))
            }
            Some(0) => return Ok(Ok(output)),
            Some(code) if code == i32::from(REFUSED) => Outcome::Invalid(errors),
            // Running out of memory ends in an abort, since nothing goes on from there.
            None if status.signal().is_some() => {
                let most = MEMORY_BYTES_MAX >> 20;
                Outcome::TooMuch(format!("it takes more than {most} MiB of memory to compile, or the compiler fails"))
            }
            Some(_) | None => Outcome::Trouble(format!("`{}` ended with {status}: {errors}", alone::COMMAND)),
        };
        Ok(Err(outcome))
    }

    fn enter(&self) {
        let (free, changed) = &self.room;
        let free = free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = changed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
    }

    fn leave(&self) {
        let (free, changed) = &self.room;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        changed.notify_one();
    }
}

/// Waits until a process has ended. `false` when it had to be ended.
fn wait(child: &mut Child) -> io::Result<bool> {
    let until = clock::instant() + TIME;
    while child.try_wait()?.is_none() {
        if clock::instant() >= until {
            child.kill()?;
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
    Ok(true)
}

/// Reads to the end; of more than `limit` bytes, one more than that.
fn read(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file in memory with these bytes, to be handed over.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("component", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// The bytes of a folder's name, as they are sent.
pub(super) fn folder_bytes(folder: Option<&Path>) -> Vec<u8> {
    folder.map(|folder| folder.as_os_str().to_owned().into_vec()).unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "standard error goes to the log of whoever started it")]
fn complain(message: &str) {
    eprintln!("slipway {COMMAND}: {message}");
}
