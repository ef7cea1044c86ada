//! WASI 0.2 as every guest gets it: without environment, arguments, standard input, files and
//! network. What files a guest sees is for its host to say.

use crate::clock;
use crate::limits::RANDOM_BYTES_MAX;
use crate::open;
use std::time::{Duration, Instant};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

/// The interfaces that every guest may import.
const INTERFACES: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];
/// What a guest's clocks can tell apart. A finer clock tells a guest what its neighbours do.
const CLOCK_RESOLUTION: Duration = Duration::from_millis(1);

/// Whether an interface, by its name without its version, is one that every guest may import.
pub fn offers(interface: &str) -> bool {
    INTERFACES.contains(&interface)
}

/// Adds the interfaces that [`offers`] names, but for `wasi:filesystem/preopens`: each host
/// adds its own.
pub fn add_to_linker<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<T, Io>(linker, |data| data.ctx().table)?;
    io::poll::add_to_linker::<T, Io>(linker, |data| data.ctx().table)?;
    io::streams::add_to_linker::<T, Io>(linker, |data| data.ctx().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, |data| data.ctx().ctx.random())?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    open::add_to_linker(linker)
}

/// What `wasi:io` works on: the guest's resources.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// The beginning of a guest's WASI: nothing inherited, random bytes in bounded pieces, and
/// clocks that tell milliseconds.
pub fn context() -> WasiCtxBuilder {
    let mut builder = WasiCtxBuilder::new();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES_MAX)
        .wall_clock(WallClock)
        .monotonic_clock(MonotonicClock(clock::instant()));
    builder
}

/// The time of the day.
struct WallClock;

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        CLOCK_RESOLUTION
    }

    fn now(&self) -> Duration {
        coarse(clock::since_1970())
    }
}

/// The time since the guest's WASI was made.
struct MonotonicClock(Instant);

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        nanoseconds(CLOCK_RESOLUTION)
    }

    fn now(&self) -> u64 {
        nanoseconds(coarse(self.0.elapsed()))
    }
}

/// The time without what is finer than the resolution.
fn coarse(time: Duration) -> Duration {
    let finer = time.subsec_nanos() % CLOCK_RESOLUTION.subsec_nanos();
    time.saturating_sub(Duration::from_nanos(u64::from(finer)))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "wasi_tests.rs"]
mod tests;
