//! The engine with everything that an app may import, and the way from bytes to a handler.

use crate::guest::engine::TickingEngine;
use crate::guest::handler::Handler;
use crate::guest::inspect::{self, Unfit};
use crate::guest::limits::Budget;
use crate::guest::state::State;
use crate::options::Limits;
use slipway_domain::AppName;
use slipway_domain::name::ReleaseId;
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// Whose release it is: named in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The app.
    pub(crate) app: AppName,
    /// The release.
    pub(crate) release: ReleaseId,
}

/// Makes handlers of components.
pub(crate) struct Runtime {
    engine: TickingEngine,
    linker: Linker<State>,
    limits: Limits,
    budget: Arc<Budget>,
}

impl Runtime {
    /// Starts the engine. `cache` is the folder of compiled code.
    pub(crate) fn new(cache: Option<&Path>, limits: Limits) -> wasmtime::Result<Self> {
        let engine = TickingEngine::new(cache)?;
        let mut linker = Linker::new(engine.engine());
        add_wasi(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        Ok(Self { engine, linker, limits, budget: Budget::new(limits.memory_bytes_total) })
    }

    /// Compiles and links a component. Takes long: call it where waiting is allowed.
    pub(crate) fn compile(&self, identity: Identity, bytes: &[u8]) -> Result<Handler, Unfit> {
        inspect::check_header(bytes)?;
        let component = Component::from_binary(self.engine.engine(), bytes).map_err(invalid)?;
        inspect::check_types(self.engine.engine(), &component)?;
        let instance = self.linker.instantiate_pre(&component).map_err(invalid)?;
        let proxy = ProxyPre::new(instance).map_err(invalid)?;
        Ok(Handler::new(identity, proxy, self.engine.clone(), self.limits, Arc::clone(&self.budget)))
    }
}

/// The engine's messages go on for pages about offsets; the first line says what is wrong.
#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn invalid(error: wasmtime::Error) -> Unfit {
    Unfit::Invalid(format!("{error:#}").lines().next().unwrap_or_default().chars().take(400).collect())
}

/// WASI 0.2 without sockets: with `wasi:http` exactly what [`inspect`] lets through.
fn add_wasi(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi_io::add_to_linker_async(linker)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    random::random::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)
}
