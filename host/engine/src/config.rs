//! The rules of the engine.

use wasmtime::{Config, Strategy, WasmFeatures};

/// The stack of a guest, in bytes.
pub const STACK_BYTES_MAX: usize = 512 << 10;
/// The stack that a guest and the host functions it calls share, in bytes.
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// What a guest may use of WebAssembly: version 2 of the standard without what needs a
/// garbage collector, what compilers emit beyond it, and components. A list of what is on,
/// because each proposal is more of the engine that a guest can reach: one that a later engine
/// turns on by itself stays off here.
const OFFERED: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL)
    .difference(WasmFeatures::GC_TYPES);

/// Builds the configuration of the engine.
///
/// Guard regions, memory reservation and traps by signals stay as the engine has them: they
/// are what turns a bug of the compiler into a mere crash.
pub fn config() -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(ASYNC_STACK_BYTES)
        .concurrency_support(false)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(OFFERED, true);
    Ok(config)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
