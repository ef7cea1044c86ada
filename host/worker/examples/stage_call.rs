//! Measures one call of a stage as the worker makes it (a Store with its limits, WASI,
//! instantiation, the call, and the end of the Store), and beside it the same call by a
//! bare wasmtime: default configuration, empty Store, every import a trap.
//!
//! `stage_call COMPONENT EXPORT TIMES` prints the medians as one line of JSON, in
//! microseconds. `cargo xtask bench` runs it.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use slipway_domain::Digest;
use slipway_domain::outcome::Outcome;
use slipway_domain::plugin::Kind;
use slipway_protocol::Lease;
use slipway_protocol::lease::{Component as Named, Limits};
use slipway_worker::log::Log;
use slipway_worker::outbox::Outbox;
use slipway_worker::runtime::component::{Components, Ready};
use slipway_worker::runtime::execute::execute;
use slipway_worker::runtime::wit::v0::Failure;
use slipway_worker::session::Session;
use slipway_worker::tools::Tools;
use slipway_worker::tools::launcher::Launcher;
use slipway_worker::transfer::Transfer;
use slipway_worker::workspace::Workspace;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

/// The memory that control grants a stage which asks for none in particular.
const MEMORY_BYTES: u64 = 256 << 20;
/// Calls before the first one that counts.
const WARM_UP: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, export, times] = arguments.as_slice() else {
        return Err("usage: stage_call COMPONENT EXPORT TIMES".into());
    };
    let (bytes, times) = (std::fs::read(component)?, times.parse::<usize>()?);
    let folder = tempfile::tempdir()?;
    let stage = Stage::new(&bytes, export, folder.path())?;
    let bare = Bare::new(&bytes, export)?;
    let (mut stage_calls, mut bare_calls) = (Vec::new(), Vec::new());
    // By turns, so that whatever else the machine does falls on both.
    for _ in 0..WARM_UP + times {
        bare_calls.push(bare.call()?);
        stage_calls.push(stage.call()?);
    }
    let stage_call_us = median(stage_calls.split_off(WARM_UP));
    let bare_wasmtime_call_us = median(bare_calls.split_off(WARM_UP));
    say(&serde_json::json!({ "stage_call_us": stage_call_us, "bare_wasmtime_call_us": bare_wasmtime_call_us }));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn say(figures: &serde_json::Value) {
    println!("{figures}");
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// The worker's way.
struct Stage {
    components: Components,
    ready: Arc<Ready>,
    runtime: Runtime,
    lease: Lease,
    transfer: Transfer,
    tools: Tools,
    folder: PathBuf,
}

impl Stage {
    fn new(bytes: &[u8], export: &str, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let components = Components::new(slipway_engine::Compiler::here())?;
        let digest = Digest::new(format!("sha256:{}", "0".repeat(64)))?;
        let ready = components.compile(&digest, bytes)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // Nothing is said to anybody, and a stage that does nothing needs no folders.
        let transfer = Transfer::new("http://127.0.0.1:9", "", folder.join("received"))?;
        let tools = Tools::new(folder.to_owned(), Launcher::none());
        let lease = lease(ready.shape.kind, export, &digest);
        Ok(Self { components, ready, runtime, lease, transfer, tools, folder: folder.to_owned() })
    }

    fn call(&self) -> Result<Duration, Box<dyn Error>> {
        let (wire, _unheard) = mpsc::unbounded_channel();
        let outbox = Arc::new(Outbox::new(self.lease.epoch, wire));
        let log = Log::new(Arc::clone(&outbox), self.lease.limits.log_bytes, self.runtime.handle().clone());
        let workspace = Workspace::new(&self.folder, self.transfer.clone(), &self.lease);
        let (transfer, tools) = (self.transfer.clone(), self.tools.clone());
        let session = Session::new(self.lease.clone(), self.ready.shape.kind, outbox, log, transfer, workspace, tools);
        let began = Instant::now();
        let ending = self.runtime.block_on(execute(self.components.engine(), &self.ready, &session));
        let time = began.elapsed();
        match ending {
            Some(ending) if ending.outcome == Outcome::Passed => Ok(time),
            Some(ending) => Err(format!("the stage did not pass: {:?}", ending.outcome).into()),
            None => Err("the stage did not end".into()),
        }
    }
}

fn lease(kind: Kind, export: &str, digest: &Digest) -> Lease {
    Lease {
        epoch: 1,
        key: String::new(),
        run: "01J00000000000000000000000".into(),
        pipeline: "bench".into(),
        stage: "only".into(),
        kind: kind.as_str().to_owned(),
        phase: export.to_owned(),
        attempt: 1,
        revision: "0".repeat(40),
        reference: "refs/tags/v1.0.0".into(),
        version: Some("1.0.0".into()),
        environment: None,
        config: "{}".into(),
        parameters: Default::default(),
        component: Named { name: "noop".into(), digest: digest.to_string() },
        limits: Limits { wall_ms: 60_000, memory_bytes: MEMORY_BYTES, log_bytes: 1 << 20 },
        inputs: Vec::new(),
        began_at_us: 0,
    }
}

/// The way of a program that wants nothing but the call.
struct Bare {
    engine: Engine,
    instance: InstancePre<()>,
    export: String,
}

impl Bare {
    fn new(bytes: &[u8], export: &str) -> Result<Self, Box<dyn Error>> {
        let engine = Engine::default();
        let component = Component::from_binary(&engine, bytes)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let instance = linker.instantiate_pre(&component)?;
        Ok(Self { engine, instance, export: export.to_owned() })
    }

    fn call(&self) -> Result<Duration, Box<dyn Error>> {
        let began = Instant::now();
        let mut store = Store::new(&self.engine, ());
        let instance = self.instance.instantiate(&mut store)?;
        let export = instance.get_typed_func::<(), (Result<(), Failure>,)>(&mut store, &self.export)?;
        let (result,) = export.call(&mut store, ())?;
        drop(store);
        let time = began.elapsed();
        result.map_err(|failure| format!("the stage failed: {}", failure.message))?;
        Ok(time)
    }
}
