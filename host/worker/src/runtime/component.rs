//! Components, compiled once a process and linked to what their kind may import.

use crate::runtime::inspect::{self, Shape, Unfit};
use crate::runtime::state::State;
use crate::runtime::wit::v0;
use slipway_domain::Digest;
use slipway_engine::{Compiler, TickingEngine, wasi};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{Component, InstancePre, Linker, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::preopens::Host;

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
    compiler: Compiler,
    linker: Linker<State>,
    ready: Mutex<HashMap<Digest, (u64, Arc<Ready>)>>,
}

impl Components {
    /// None yet.
    pub fn new(compiler: Compiler) -> wasmtime::Result<Self> {
        let engine = TickingEngine::new()?;
        let mut linker = Linker::new(engine.engine());
        add_wasi(&mut linker)?;
        v0::add_to_linker(&mut linker)?;
        Ok(Self { engine, compiler, linker, ready: Mutex::default() })
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
        let instance =
            self.linker.instantiate_pre(&component).map_err(|error| slipway_engine::Unfit::invalid(&error))?;
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
        let component = self.compiler.compile(self.engine(), bytes)?;
        let shape = inspect::shape(self.engine(), &component)?;
        Ok((component, shape))
    }
}

/// WASI 0.2 without sockets: exactly the interfaces that [`wasi::offers`] names.
fn add_wasi(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi::add_to_linker(linker)?;
    // The folders are laid out when a guest first looks for them.
    linker.instance("wasi:filesystem/preopens@0.2.0")?.func_wrap_async(
        "get-directories",
        |mut store: StoreContextMut<'_, State>, (): ()| {
            Box::new(async move {
                let session = Arc::clone(&store.data().session);
                session.called();
                session.workspace.root().await?;
                let state = store.data_mut();
                state.show_folders()?;
                let folders: Vec<(Resource<Descriptor>, String)> = state.filesystem().get_directories()?;
                Ok((folders,))
            })
        },
    )
}
