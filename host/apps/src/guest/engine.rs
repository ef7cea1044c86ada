//! The one engine, its rules, and the thread that ticks its epoch.
//!
//! The rules are those of the worker (`host/worker/src/runtime/engine.rs`): what is true of
//! a stage's component is true of an app's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::{Cache, CacheConfig, Config, Engine};

/// How often the epoch advances: how soon a guest that loops lets others run.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The stack of a guest, in bytes.
pub(crate) const STACK_BYTES_MAX: usize = 512 << 10;
/// The stack that a guest and the host functions it calls share, in bytes.
const ASYNC_STACK_BYTES: usize = 2 << 20;

/// Builds the configuration of the engine. `cache` is the folder of compiled code.
///
/// What WebAssembly has beyond what the guest languages need is off: each proposal is more
/// of the engine that a guest can reach.
pub(crate) fn config(cache: Option<&Path>) -> wasmtime::Result<Config> {
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
        settings.with_directory(private(folder)?);
        config.cache(Some(Cache::new(settings)?));
    }
    Ok(config)
}

/// Makes the folder ours alone: who can write to it decides what runs here.
fn private(folder: &Path) -> wasmtime::Result<std::path::PathBuf> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(folder.canonicalize()?)
}

/// An engine whose epoch advances every [`TICK`] until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct TickingEngine {
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
    pub(crate) fn new(cache: Option<&Path>) -> wasmtime::Result<Self> {
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
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::component::Component;
    use wasmtime::{Module, WasmFeatures};

    #[test]
    fn the_engine_is_configured_by_the_rules() {
        let engine = Engine::new(&config(None).unwrap()).unwrap();
        assert!(engine.get_epoch_interruption());
        assert_eq!(engine.get_max_wasm_stack(), 512 << 10);
        assert_eq!(engine.get_async_stack_size(), 2 << 20);
        assert!(!engine.get_wasm_features().contains(WasmFeatures::CM_ASYNC));
    }

    #[test]
    fn the_proposals_that_no_app_needs_are_off() {
        let engine = Engine::new(&config(None).unwrap()).unwrap();
        for (feature, module) in [
            ("threads", "(module (memory 1 1 shared))"),
            ("gc", "(module (type (struct)))"),
            ("function references", "(module (type $f (func)) (func (param (ref $f))))"),
            ("exceptions", "(module (tag))"),
            ("stack switching", "(module (type $f (func)) (type $c (cont $f)))"),
            ("memory64", "(module (memory i64 1))"),
            ("multi-memory", "(module (memory 1) (memory 1))"),
            (
                "relaxed simd",
                "(module (func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
            ),
            ("custom page sizes", "(module (memory 1 (pagesize 1)))"),
        ] {
            assert!(Module::new(&engine, module).is_err(), "{feature} should be refused");
        }
        assert!(Component::new(&engine, "(component (import \"f\" (func async (result string))))").is_err());
    }

    #[test]
    fn the_folder_of_compiled_code_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("compiled");
        config(Some(&cache)).unwrap();
        assert_eq!(cache.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
