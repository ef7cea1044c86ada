//! The engine with everything that an app may import, and the way from bytes to a handler.

use crate::guest::handler::Handler;
use crate::guest::inspect::{self, Unfit};
use crate::guest::state::State;
use crate::options::Limits;
use slipway_domain::AppName;
use slipway_domain::name::ReleaseId;
use slipway_engine::{Budget, Compiler, TickingEngine, wasi};
use std::sync::Arc;
use wasmtime::component::Linker;
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem;
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
    compiler: Compiler,
    linker: Linker<State>,
    limits: Limits,
    budget: Arc<Budget>,
}

impl Runtime {
    /// Starts the engine.
    pub(crate) fn new(compiler: Compiler, limits: Limits) -> wasmtime::Result<Self> {
        let engine = TickingEngine::new()?;
        let mut linker = Linker::new(engine.engine());
        add_wasi(&mut linker)?;
        Ok(Self { engine, compiler, linker, limits, budget: Budget::new(limits.memory_bytes_total) })
    }

    /// Compiles and links a component. Takes long: call it where waiting is allowed.
    pub(crate) fn compile(&self, identity: Identity, bytes: &[u8]) -> Result<Handler, Unfit> {
        let component = self.compiler.compile(self.engine.engine(), bytes)?;
        inspect::check_types(self.engine.engine(), &component)?;
        let proxy = self.linker.instantiate_pre(&component).and_then(ProxyPre::new);
        let proxy = proxy.map_err(|error| slipway_engine::Unfit::invalid(&error))?;
        Ok(Handler::new(identity, proxy, self.engine.clone(), self.limits, Arc::clone(&self.budget)))
    }
}

/// WASI 0.2 without sockets: with `wasi:http` exactly what [`inspect`] lets through.
fn add_wasi(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi::add_to_linker(linker)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}
