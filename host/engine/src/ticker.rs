//! The thread that ticks the engine's epoch.

use crate::config::config;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::Engine;

/// How often the epoch advances: how soon a guest that loops lets others run.
pub const TICK: Duration = Duration::from_millis(10);

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
    /// Builds the engine by the rules of [`config`] and starts its ticker: a thread of its
    /// own, so that no guest and no task can keep it from ticking.
    pub fn new() -> wasmtime::Result<Self> {
        let engine = Engine::new(&config()?)?;
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
