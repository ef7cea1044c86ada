//! The one engine, its rules, and the thread that ticks its epoch.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::{Cache, CacheConfig, Config, Engine};

/// How often the epoch advances: how soon a guest that loops lets others run.
pub const TICK: Duration = Duration::from_millis(10);
/// The stack of a guest, in bytes.
pub const STACK_BYTES_MAX: usize = 512 << 10;
/// The stack that a guest and the host functions it calls share, in bytes.
const ASYNC_STACK_BYTES: usize = 2 << 20;

/// Builds the configuration of the engine. `cache` is the folder of compiled code; without
/// it each process compiles anew.
///
/// What WebAssembly has beyond what the three guest languages need is off: each proposal is
/// more of the engine that a guest can reach.
pub fn config(cache: Option<&Path>) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_component_model(true)
        .wasm_threads(false)
        .wasm_shared_everything_threads(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_stack_switching(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_custom_page_sizes(false);
    if let Some(folder) = cache {
        let mut settings = CacheConfig::new();
        settings.with_directory(folder);
        config.cache(Some(Cache::new(settings)?));
    }
    Ok(config)
}

/// An engine whose epoch advances every [`TICK`] until the last clone is dropped.
#[derive(Clone)]
pub struct TickingEngine {
    engine: Engine,
    _ticker: Arc<Ticker>,
}

struct Ticker(Arc<AtomicBool>);

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TickingEngine {
    /// Builds the engine and starts its ticker: a thread of its own, so that no guest and
    /// no task can keep it from ticking.
    pub fn new(cache: Option<&Path>) -> wasmtime::Result<Self> {
        let engine = Engine::new(&config(cache)?)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ticked = engine.clone();
        let stopped = Arc::clone(&stop);
        std::thread::Builder::new().name("epoch".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                ticked.increment_epoch();
            }
        })?;
        Ok(Self { engine, _ticker: Arc::new(Ticker(stop)) })
    }

    /// The engine.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
