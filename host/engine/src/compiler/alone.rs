//! The process that compiles one component: its bytes come on standard input, code goes to standard output.

use crate::config::config;
use nix::sys::resource::{Resource, setrlimit};
use slipway_confine::files::{self, Files};
use slipway_confine::process;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use wasmtime::Engine;

/// The command of the `slipway` program that runs [`main`].
pub const COMMAND: &str = "compile-alone";
/// The most memory, in bytes. Not the address space, which the engine reserves generously.
pub(super) const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// The most time of processors, in seconds; the other side looks at the clock.
const CPU_SECONDS_MAX: u64 = 120;
/// The exit code of what the engine refuses; the reason is on standard error.
pub(super) const REFUSED: u8 = 3;

/// Compiles what is on standard input.
pub fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Wrong::Component(error)) => {
            complain(&crate::Unfit::reason(&error));
            ExitCode::from(REFUSED)
        }
        Err(Wrong::Host(error)) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

enum Wrong {
    Component(wasmtime::Error),
    Host(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Host(error)
    }
}

fn compile() -> Result<(), Wrong> {
    give_up()?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let engine =
        config().and_then(|config| Engine::new(&config)).map_err(|error| io::Error::other(format!("{error:#}")))?;
    let code = engine.precompile_component(&bytes).map_err(Wrong::Component)?;
    let mut out = io::stdout().lock();
    out.write_all(&code)?;
    out.flush()?;
    Ok(())
}

/// Everything but memory and time.
fn give_up() -> io::Result<()> {
    process::close_to_others()?;
    setrlimit(Resource::RLIMIT_DATA, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX)?;
    setrlimit(Resource::RLIMIT_CPU, CPU_SECONDS_MAX, CPU_SECONDS_MAX)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    // What a kernel without Landlock leaves, the refused system calls and the limits do not: the process has no
    // more than its own three files open.
    let _without_landlock = files::keep_to(&Files::default()).is_err();
    slipway_confine::system_calls::refuse().map_err(io::Error::other)
}

#[expect(clippy::print_stderr, reason = "standard error is where the other side reads the reason")]
fn complain(message: &str) {
    eprintln!("{message}");
}
