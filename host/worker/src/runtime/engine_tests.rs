use super::*;
use wasmtime::component::Component;
use wasmtime::{Instance, Module, Store, Trap, WasmFeatures};

#[test]
fn the_proposals_that_no_guest_needs_are_off() {
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
    for (feature, module) in [
        ("bulk memory", "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))"),
        ("simd", "(module (func (param v128)))"),
        ("reference types", "(module (func (param externref)))"),
        ("sign extension", "(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))"),
    ] {
        assert!(Module::new(&engine, module).is_ok(), "{feature} should be offered");
    }
    assert!(Component::new(&engine, "(component (import \"f\" (func async (result string))))").is_err(), "async ABI");
}

#[test]
fn the_engine_is_configured_by_the_rules() {
    let engine = Engine::new(&config(None).unwrap()).unwrap();
    assert!(engine.get_epoch_interruption());
    assert_eq!(engine.get_max_wasm_stack(), 512 << 10);
    assert_eq!(engine.get_async_stack_size(), 2 << 20);
    assert!(!engine.get_wasm_features().contains(WasmFeatures::CM_ASYNC));
}

#[test]
fn a_loop_is_interrupted_by_the_ticker() {
    let ticking = TickingEngine::new(None).unwrap();
    let module = Module::new(ticking.engine(), "(module (func (export \"f\") (loop (br 0))))").unwrap();
    let mut store = Store::new(ticking.engine(), ());
    store.set_epoch_deadline(2);
    store.epoch_deadline_trap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let spin = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    assert_eq!(spin.call(&mut store, ()).unwrap_err().downcast::<Trap>().unwrap(), Trap::Interrupt);
}

#[test]
fn endless_recursion_ends_in_a_trap() {
    let engine = Engine::new(&config(None).unwrap()).unwrap();
    let module = Module::new(&engine, "(module (func $f (export \"f\") (call $f)))").unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let recurse = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    assert_eq!(recurse.call(&mut store, ()).unwrap_err().downcast::<Trap>().unwrap(), Trap::StackOverflow);
}
