//! Components, compiled once a process and linked to what their kind may import.

use crate::runtime::engine::TickingEngine;
use crate::runtime::inspect::{self, Shape, Unfit};
use crate::runtime::state::State;
use crate::runtime::wit::v0;
use slipway_domain::Digest;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{Component, InstancePre, Linker, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
use wasmtime_wasi::random::WasiRandom;

/// How many compiled components are kept in memory.
const KEPT: usize = 64;

/// A component that is ready to be instantiated.
#[derive(Clone)]
pub struct Ready {
    /// What it is.
    pub shape: Shape,
    /// Its code, linked.
    pub instance: InstancePre<State>,
}

/// The components of a worker.
pub struct Components {
    engine: TickingEngine,
    linker: Linker<State>,
    ready: Mutex<HashMap<Digest, (u64, Arc<Ready>)>>,
}

impl Components {
    /// None yet. `cache` is the folder of compiled code.
    pub fn new(cache: Option<&Path>) -> wasmtime::Result<Self> {
        let engine = TickingEngine::new(cache)?;
        let mut linker = Linker::new(engine.engine());
        add_wasi(&mut linker)?;
        v0::add_to_linker(&mut linker)?;
        Ok(Self { engine, linker, ready: Mutex::default() })
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine {
        self.engine.engine()
    }

    /// A component that was compiled before.
    pub fn get(&self, digest: &Digest) -> Option<Arc<Ready>> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ready.values().map(|(used, _)| *used).max().unwrap_or(0);
        let (used, component) = ready.get_mut(digest)?;
        *used = newest + 1;
        Some(Arc::clone(component))
    }

    /// Compiles and links a component. Takes long: call it where waiting is allowed.
    pub fn compile(&self, digest: &Digest, bytes: &[u8]) -> Result<Arc<Ready>, Unfit> {
        let (component, shape) = self.inspect(bytes)?;
        let instance = self
            .linker
            .instantiate_pre(&component)
            .map_err(|error| Unfit::Invalid(first_line(&format!("{error:#}"))))?;
        let component = Arc::new(Ready { shape, instance });
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= KEPT
            && let Some(oldest) = ready.iter().min_by_key(|(_, (used, _))| *used).map(|(digest, _)| digest.clone())
        {
            ready.remove(&oldest);
        }
        let newest = ready.values().map(|(used, _)| *used).max().unwrap_or(0);
        ready.insert(digest.clone(), (newest + 1, Arc::clone(&component)));
        Ok(component)
    }

    /// Compiles a component and finds what it is, without linking it.
    pub fn inspect(&self, bytes: &[u8]) -> Result<(Component, Shape), Unfit> {
        inspect::check_header(bytes)?;
        let component = Component::from_binary(self.engine(), bytes)
            .map_err(|error| Unfit::Invalid(first_line(&format!("{error:#}"))))?;
        let shape = inspect::shape(self.engine(), &component)?;
        Ok((component, shape))
    }
}

/// The engine's messages go on for pages about offsets; the first line says what is wrong.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(400).collect()
}

/// WASI 0.2 without sockets: exactly the interfaces that [`inspect`] lets through.
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
    // The folders are laid out when a guest first looks for them.
    linker.instance("wasi:filesystem/preopens@0.2.0")?.func_wrap_async(
        "get-directories",
        |mut store: StoreContextMut<'_, State>, (): ()| {
            Box::new(async move {
                let session = Arc::clone(&store.data().session);
                session.workspace.root().await?;
                let state = store.data_mut();
                state.show_folders()?;
                let folders: Vec<(Resource<Descriptor>, String)> =
                    filesystem::preopens::Host::get_directories(&mut state.filesystem())?;
                Ok((folders,))
            })
        },
    )
}
