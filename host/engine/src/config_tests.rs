use super::*;
use crate::Compiler;
use crate::inspect::Unfit;
use wasmtime::Engine;

fn engine() -> Engine {
    Engine::new(&config().unwrap()).unwrap()
}

fn check(text: &str) -> Result<(), Unfit> {
    Compiler::here()
        .compile(&engine(), &wat::parse_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
        .map(drop)
}

#[test]
fn the_engine_is_configured_by_the_rules() {
    let engine = engine();
    assert_eq!(engine.get_strategy(), Some(Strategy::Cranelift));
    assert!(engine.get_epoch_interruption());
    assert_eq!(engine.get_max_wasm_stack(), 512 << 10);
    assert_eq!(engine.get_async_stack_size(), 2 << 20);
    assert_eq!(engine.get_wasm_features(), OFFERED);
    assert!(!engine.get_concurrency_support());
    assert!(!engine.get_shared_memory());
    assert!(!engine.get_guest_debug());
}

#[test]
fn guards_and_signals_are_as_the_engine_has_them() {
    let (ours, theirs) = (engine(), Engine::default());
    assert!(ours.get_signals_based_traps());
    assert!(ours.get_guard_before_linear_memory());
    assert_eq!(ours.get_memory_guard_size(), theirs.get_memory_guard_size());
    assert_eq!(ours.get_memory_reservation(), theirs.get_memory_reservation());
    assert_eq!(ours.get_memory_reservation_for_growth(), theirs.get_memory_reservation_for_growth());
    assert_eq!(ours.get_memory_may_move(), theirs.get_memory_may_move());
}

fn assert_refused(text: &str, told: &str) {
    match check(text) {
        Err(Unfit::Invalid(reason)) => assert!(reason.contains(told), "`{told}` is not in `{reason}`"),
        other => panic!("{text} should be refused, and not {other:?}"),
    }
}

/// Each with a module that uses it, and with what its author is told.
#[test]
fn the_proposals_that_no_guest_needs_are_refused_by_name() {
    for (module, told) in [
        ("(memory 1 1 shared)", "threads must be enabled"),
        ("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))", "threads support is not enabled"),
        ("(table shared 1 (ref null (shared func)))", "shared-everything-threads"),
        ("(type (struct))", "gc feature"),
        ("(func (param i31ref))", "gc types are disallowed"),
        ("(func (param externref))", "gc types are disallowed"),
        ("(type $f (func)) (func (param (ref $f)))", "function references required"),
        ("(tag)", "exceptions proposal not enabled"),
        ("(func (param exnref))", "exception handling feature"),
        ("(func try catch_all end)", "legacy_exceptions feature"),
        ("(type $f (func)) (type $c (cont $f))", "stack switching is disabled"),
        ("(memory i64 1)", "memory64 must be enabled"),
        ("(table i64 1 funcref)", "memory64 must be enabled"),
        ("(memory 1) (memory 1)", "multiple memories"),
        (
            "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
            "relaxed SIMD support is not enabled",
        ),
        ("(memory 1 (pagesize 1))", "custom page sizes proposal must be enabled"),
        ("(memory 1) (func (memory.discard (i32.const 0) (i32.const 0)))", "memory control support is not enabled"),
        ("(func (i64.mul_wide_u (i64.const 1) (i64.const 1)) drop drop)", "wide arithmetic support is not enabled"),
    ] {
        assert_refused(&format!("(component (core module {module}))"), told);
    }
}

#[test]
fn what_wasi_0_3_and_later_need_of_components_is_refused_by_name() {
    for (item, told) in [
        (r#"(import "f" (func async (result string)))"#, "component model async feature"),
        (r#"(import "f" (func (param "s" (stream u8))))"#, "`stream` requires the component model async feature"),
        (r#"(import "f" (func (param "s" (future u8))))"#, "`future` requires the component model async feature"),
        ("(core func (canon task.return))", "`task.return` requires the component model async feature"),
        ("(core func (canon context.get i32 0))", "component model async feature"),
        ("(core func (canon backpressure.inc))", "component model async feature"),
        ("(core func (canon thread.index))", "component model threading feature"),
        (r#"(import "f" (func (param "e" error-context)))"#, "component model error-context feature"),
        (r#"(import "f" (func (param "l" (list u8 4))))"#, "component model fixed-length lists feature"),
        (r#"(import "f" (func (param "m" (map string u8))))"#, "component model map feature"),
        (r#"(import "v" (value string))"#, "component model `value`s is not enabled"),
    ] {
        assert_refused(&format!("(component {item})"), told);
    }
    assert_eq!(check(r#"(component (import "f" (func (param "l" (list u8)) (result string))))"#), Ok(()));
}

#[test]
fn what_compilers_emit_is_offered() {
    for (feature, module) in [
        ("bulk memory", "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))"),
        ("reference types", "(table 1 funcref) (table 1 funcref) (func (table.set 1 (i32.const 0) (ref.null func)))"),
        ("simd", "(func (param v128))"),
        ("sign extension", "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))"),
        ("saturating conversions", "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))"),
        ("multi-value", "(func (result i32 i32) (i32.const 0) (i32.const 0))"),
        ("mutable globals", "(global (export \"g\") (mut i32) (i32.const 0))"),
        ("tail calls", "(func $f (return_call $f))"),
        ("extended constants", "(global i32 (i32.add (i32.const 1) (i32.const 1)))"),
    ] {
        assert_eq!(check(&format!("(component (core module {module}))")), Ok(()), "{feature} should be offered");
    }
}
