//! Guests of the tests, in text, and what they run in.

use crate::{Compiler, Limits, Stop, TickingEngine, resources, store, wasi};
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, Linker, Lower, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The data of a Store, as a host of guests has them.
pub(crate) struct Data {
    pub(crate) limits: Limits,
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
}

impl AsMut<Limits> for Data {
    fn as_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A guest that was instantiated.
pub(crate) struct Guest {
    pub(crate) store: Store<Data>,
    instance: Instance,
    _engine: TickingEngine,
}

impl Guest {
    /// Instantiates a component, which may import WASI, `host-take` and `host-keep`.
    pub(crate) async fn new(text: &str, memory_bytes_max: u64) -> Result<Self, Stop> {
        Self::within(text, Limits::new(memory_bytes_max)).await
    }

    /// Instantiates a component within these limits.
    pub(crate) async fn within(text: &str, limits: Limits) -> Result<Self, Stop> {
        let engine = TickingEngine::new().unwrap();
        let component = Compiler::here().compile(engine.engine(), &wat::parse_str(text).unwrap()).unwrap();
        let mut linker = Linker::new(engine.engine());
        wasi::add_to_linker::<Data>(&mut linker).unwrap();
        let mut root = linker.root();
        root.func_wrap("host-take", |_, (_bytes,): (Vec<u8>,)| Ok(())).unwrap();
        root.func_wrap("host-keep", |mut store, (): ()| {
            store.data_mut().table.push(())?;
            Ok(())
        })
        .unwrap();
        let data = Data { limits, table: resources(), wasi: wasi::context().build() };
        let mut store = store(engine.engine(), data);
        match linker.instantiate_async(&mut store, &component).await {
            Ok(instance) => Ok(Self { store, instance, _engine: engine }),
            Err(error) => Err(Stop::of(&error, &store.data().limits)),
        }
    }

    /// Calls an export.
    pub(crate) async fn call<P, R>(&mut self, export: &str, parameters: P) -> Result<R, Stop>
    where
        P: ComponentNamedList + Lower,
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let function = self.instance.get_typed_func::<P, (R,)>(&mut self.store, export).unwrap();
        match function.call_async(&mut self.store, parameters).await {
            Ok((result,)) => Ok(result),
            Err(error) => Err(Stop::of(&error, &self.store.data().limits)),
        }
    }
}

/// A component around one core module, whose functions `u32 -> u32` of these names it exports.
pub(crate) fn component(exports: &[&str], module: &str) -> String {
    let exports: String = exports
        .iter()
        .map(|name| {
            format!("(func (export \"{name}\") (param \"n\" u32) (result u32) (canon lift (core func $i \"{name}\")))")
        })
        .collect();
    format!("(component (core module $m {module}) (core instance $i (instantiate $m)) {exports})")
}

/// A component whose memory begins with so many pages, and whose `grow` adds more and tells
/// how many there were, or traps.
pub(crate) fn grows(pages: u32) -> String {
    component(
        &["grow"],
        &format!(
            "(memory {pages})
             (func (export \"grow\") (param i32) (result i32) (local $before i32)
               (local.set $before (memory.grow (local.get 0)))
               (if (i32.eq (local.get $before) (i32.const -1)) (then (unreachable)))
               (local.get $before))"
        ),
    )
}

/// A component that instantiates a core module so many times.
pub(crate) fn instances(count: usize, module: &str) -> String {
    let instances = "(core instance (instantiate $m))".repeat(count);
    format!("(component (core module $m {module}) {instances})")
}

/// A component that gives `host-take` as many bytes as it is told.
pub(crate) const GIVES_BYTES: &str = r#"(component
  (import "host-take" (func $take (param "bytes" (list u8))))
  (core module $memory (memory (export "memory") 129))
  (core instance $memory (instantiate $memory))
  (core func $take (canon lower (func $take) (memory (core memory $memory "memory"))))
  (core module $m
    (import "host" "take" (func $take (param i32 i32)))
    (func (export "give") (param i32) (result i32)
      (call $take (i32.const 0) (local.get 0)) (local.get 0)))
  (core instance $i (instantiate $m (with "host" (instance (export "take" (func $take))))))
  (func (export "give") (param "n" u32) (result u32) (canon lift (core func $i "give"))))"#;

/// A component that calls `host-keep` as often as it is told.
pub(crate) const KEEPS: &str = r#"(component
  (import "host-keep" (func $keep))
  (core func $keep (canon lower (func $keep)))
  (core module $m
    (import "host" "keep" (func $keep))
    (func (export "keep") (param i32) (result i32) (local $left i32)
      (local.set $left (local.get 0))
      (loop
        (call $keep)
        (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
      (local.get 0)))
  (core instance $i (instantiate $m (with "host" (instance (export "keep" (func $keep))))))
  (func (export "keep") (param "n" u32) (result u32) (canon lift (core func $i "keep"))))"#;

/// A component that asks for as many random bytes as it is told, and returns the first four.
pub(crate) fn asks_for_random(interface: &str, function: &str) -> String {
    format!(
        r#"(component
  (import "wasi:random/{interface}@0.2.0" (instance $random
    (export "{function}" (func (param "len" u64) (result (list u8))))))
  (core module $memory
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
  (core instance $memory (instantiate $memory))
  (core func $get (canon lower (func $random "{function}")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $m
    (import "host" "get" (func $get (param i64 i32)))
    (import "host" "memory" (memory 1))
    (func (export "ask") (param i32) (result i32)
      (call $get (i64.extend_i32_u (local.get 0)) (i32.const 0))
      (i32.load (i32.const 16))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "get" (func $get)) (export "memory" (memory $memory "memory"))))))
  (func (export "ask") (param "n" u32) (result u32) (canon lift (core func $i "ask"))))"#
    )
}

/// A component that returns what the monotonic clock tells.
pub(crate) const TELLS_TIME: &str = r#"(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64))) (export "resolution" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core func $resolution (canon lower (func $clock "resolution")))
  (core module $m
    (import "host" "now" (func $now (result i64)))
    (import "host" "resolution" (func $resolution (result i64)))
    (func (export "now") (result i64) (call $now))
    (func (export "resolution") (result i64) (call $resolution)))
  (core instance $i (instantiate $m (with "host" (instance
    (export "now" (func $now)) (export "resolution" (func $resolution))))))
  (func (export "now") (result u64) (canon lift (core func $i "now")))
  (func (export "resolution") (result u64) (canon lift (core func $i "resolution"))))"#;
