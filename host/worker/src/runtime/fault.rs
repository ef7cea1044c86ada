//! What a wasmtime error means to people. Its type ends here.

use crate::runtime::engine::STACK_BYTES_MAX;
use crate::runtime::limits::{HOSTCALL_BYTES_MAX, Limits};
use slipway_domain::outcome::Fault;
use wasmtime::{Error, Trap, WasmBacktrace};

/// How many functions of a backtrace are kept.
const FRAMES_MAX: usize = 32;

/// Tells a limit from a trap from a fault of the host.
pub fn classify(error: &Error, limits: &Limits) -> Fault {
    let trap = error.downcast_ref::<Trap>();
    if let Some(limit) = limits.refused().filter(|_| trap.is_none_or(|trap| *trap == Trap::UnreachableCodeReached)) {
        return Fault::Limit { limit: limit.to_owned() };
    }
    match trap {
        Some(Trap::StackOverflow) => Fault::Limit { limit: format!("{} KiB of stack", STACK_BYTES_MAX >> 10) },
        // A guest's compiler keeps a stack of its own in memory; running out of that is an
        // access out of bounds, which only its backtrace tells from any other.
        Some(Trap::MemoryOutOfBounds) if is_recursion(&backtrace(error)) => {
            Fault::Limit { limit: "its own stack in memory, by calling itself again and again".into() }
        }
        Some(trap) => Fault::Trap { message: trap.to_string(), backtrace: backtrace(error) },
        None => {
            if is_host(error) {
                return Fault::Host { message: format!("{error:#}") };
            }
            let message = format!("{error:#}");
            if message.contains("too many bytes") || message.contains("hostcall fuel") {
                return Fault::Limit { limit: format!("{} MiB copied in one call", HOSTCALL_BYTES_MAX >> 20) };
            }
            match error.downcast_ref::<wasmtime_wasi::I32Exit>() {
                Some(exit) => Fault::Trap {
                    message: format!("the guest called exit({}) instead of returning", exit.0),
                    backtrace: backtrace(error),
                },
                None => Fault::Trap { message: error.root_cause().to_string(), backtrace: backtrace(error) },
            }
        }
    }
}

/// Whether a host function could not do its part, through no fault of the guest.
fn is_host(error: &Error) -> bool {
    error.downcast_ref::<crate::transfer::Error>().is_some()
        || error.downcast_ref::<crate::workspace::Error>().is_some()
        || error.downcast_ref::<std::io::Error>().is_some()
        || error.downcast_ref::<crate::outbox::Fenced>().is_some()
}

/// Whether a backtrace goes round in a small circle for as long as it was kept.
fn is_recursion(backtrace: &[String]) -> bool {
    let circle: std::collections::BTreeSet<&String> = backtrace.iter().collect();
    backtrace.len() >= 16 && circle.len() <= 4
}

/// The guest's functions, innermost first.
fn backtrace(error: &Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    trace
        .frames()
        .iter()
        .take(FRAMES_MAX)
        .map(|frame| {
            let offset = frame.module_offset().unwrap_or(0);
            frame.func_name().map_or_else(|| format!("function {} at {offset:#x}", frame.func_index()), demangled)
        })
        .collect()
}

/// A function's name as its author wrote it.
fn demangled(name: &str) -> String {
    let mut text = String::new();
    match rustc_demangle::try_demangle(name) {
        Ok(name) => text.push_str(&format!("{name:#}")),
        Err(_) => text.push_str(name),
    }
    text
}
