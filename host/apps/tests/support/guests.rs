//! Tiny apps, one a behaviour: core modules in text, made into components.
#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Makes a component of one function `$handle`; see `guests.wat`.
pub(crate) fn component(handle: &str) -> Vec<u8> {
    let text = include_str!("guests.wat").replace("HANDLE", handle);
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("guests.wit", include_str!("guests.wit")).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// Answers every request with a status and `ok`.
pub(crate) fn answers(status: u16) -> Vec<u8> {
    component(&format!(
        "(func $handle (param $request i32) (param $out i32) (call $answer (local.get $out) (i32.const {status})))"
    ))
}

/// Answers with 200 after some milliseconds.
pub(crate) fn answers_after(ms: u64) -> Vec<u8> {
    component(&format!(
        "(func $handle (param $request i32) (param $out i32)
           (call $sleep (i64.const {}))
           (call $answer (local.get $out) (i32.const 200)))",
        ms * 1_000_000
    ))
}

/// Traps before it answers.
pub(crate) fn traps() -> Vec<u8> {
    component("(func $handle (param $request i32) (param $out i32) (unreachable))")
}

/// Traps after the head and the first two bytes of its answer.
pub(crate) fn traps_within_its_answer() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (drop (call $put (call $open (local.get $out) (i32.const 200))))
           (call $sleep (i64.const 50000000))
           (unreachable))",
    )
}

/// Never answers and never waits.
pub(crate) fn spins_forever() -> Vec<u8> {
    component("(func $handle (param $request i32) (param $out i32) (loop (br 0)))")
}

/// Takes memory until it gets no more, and traps then.
pub(crate) fn eats_memory() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (loop $more
             (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
           (unreachable))",
    )
}

/// Recurses without end.
pub(crate) fn recurses_forever() -> Vec<u8> {
    component("(func $handle (param $request i32) (param $out i32) (call $handle (local.get 0) (local.get 1)))")
}

/// Returns without an answer.
pub(crate) fn says_nothing() -> Vec<u8> {
    component("(func $handle (param $request i32) (param $out i32))")
}

/// Calls `exit`.
pub(crate) fn exits() -> Vec<u8> {
    component("(func $handle (param $request i32) (param $out i32) (call $exit (i32.const 1)))")
}

/// Gives an error, `connection-refused`, instead of an answer.
pub(crate) fn gives_an_error() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (call $set (local.get $out) (i32.const 1) (i32.const 6)
             (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
    )
}

/// Writes two bytes every so many milliseconds, until it cannot.
pub(crate) fn streams_forever(every_ms: u64) -> Vec<u8> {
    component(&format!(
        "(func $handle (param $request i32) (param $out i32)
           (local $stream i32)
           (local.set $stream (call $open (local.get $out) (i32.const 200)))
           (loop $more
             (if (call $put (local.get $stream)) (then (loop (br 0))))
             (call $sleep (i64.const {}))
             (br $more)))",
        every_ms * 1_000_000
    ))
}

/// Reads the whole body and answers 200, or 400 when the body ends in an error.
pub(crate) fn reads_the_body() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (local $stream i32)
           (call $consume (local.get $request) (i32.const 0))
           (call $incoming-stream (i32.load (i32.const 4)) (i32.const 0))
           (local.set $stream (i32.load (i32.const 4)))
           (loop $more
             (call $read (local.get $stream) (i64.const 65536) (i32.const 0))
             (br_if $more (i32.eqz (i32.load8_u (i32.const 0)))))
           ;; The case of the error: 1 is `closed`, the ordinary end.
           (if (i32.eq (i32.load8_u (i32.const 4)) (i32.const 1))
             (then (call $answer (local.get $out) (i32.const 200)))
             (else (call $answer (local.get $out) (i32.const 400)))))",
    )
}

/// Sends a request of its own, and answers 200 when that ends in `HTTP-request-denied`.
pub(crate) fn calls_out() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (local $future i32)
           (local $sent i32)
           (local.set $sent (call $outgoing-request (call $fields)))
           (drop (call $set-authority (local.get $sent) (i32.const 1) (i32.const 1040) (i32.const 9)))
           (drop (call $set-path (local.get $sent) (i32.const 1) (i32.const 1049) (i32.const 1)))
           (call $send (local.get $sent) (i32.const 0) (i32.const 0) (i32.const 0))
           (if (i32.load8_u (i32.const 0)) (then (unreachable)))
           (local.set $future (i32.load (i32.const 8)))
           (call $block (call $subscribe (local.get $future)))
           (call $get (local.get $future) (i32.const 0))
           ;; some, ok, error, 15
           (if (i32.and
                 (i32.and (i32.load8_u (i32.const 0)) (i32.eqz (i32.load8_u (i32.const 8))))
                 (i32.and (i32.load8_u (i32.const 16)) (i32.eq (i32.load8_u (i32.const 24)) (i32.const 15))))
             (then (call $answer (local.get $out) (i32.const 200)))
             (else (call $answer (local.get $out) (i32.const 500)))))",
    )
}

/// Prints a line and a half before it traps.
pub(crate) fn prints_and_traps() -> Vec<u8> {
    component(
        "(func $handle (param $request i32) (param $out i32)
           (call $write (call $stdout) (i32.const 1056) (i32.const 11) (i32.const 0))
           (unreachable))",
    )
}
