//! What an error of the engine means to people.

use crate::config::STACK_BYTES_MAX;
use crate::limits::{
    HOSTCALL_BYTES_MAX, INSTANCES_MAX, Limits, MEMORIES_MAX, RANDOM_BYTES_MAX, RESOURCES_MAX, Refused, TABLES_MAX,
};
use std::collections::BTreeSet;
use wasmtime::component::ResourceTableError;
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// How many functions of a backtrace are kept.
const FRAMES_MAX: usize = 32;

/// Why a call into a guest did not return.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The guest wanted more than it may have, in words: `256 MiB of memory`.
    Limit(String),
    /// All guests together want more memory than they may have.
    Crowded,
    /// The guest left.
    Exit {
        /// With this status.
        status: i32,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
    /// The guest trapped, or a host function did not let it go on.
    Trap {
        /// What the engine or the host function says.
        message: String,
        /// The guest's functions, innermost first.
        backtrace: Vec<String>,
    },
}

impl Stop {
    /// Tells a limit from an exit from a trap. What is a fault of the host only the host
    /// knows: it looks for its own errors first.
    pub fn of(error: &Error, limits: &Limits) -> Self {
        let trap = error.downcast_ref::<Trap>();
        // A guest that gets no memory gives up, in its language's own way.
        if trap.is_none_or(|trap| *trap == Trap::UnreachableCodeReached) {
            match limits.refused() {
                Some(Refused::Own(limit)) => return Self::Limit(limit.clone()),
                Some(Refused::Budget) => return Self::Crowded,
                None => {}
            }
        }
        match trap {
            Some(Trap::StackOverflow) => Self::Limit(format!("{} KiB of stack", STACK_BYTES_MAX >> 10)),
            // A guest's compiler keeps a stack of its own in memory; running out of that is an
            // access out of bounds, which only its backtrace tells from any other.
            Some(Trap::MemoryOutOfBounds) if is_recursion(&backtrace(error)) => {
                Self::Limit("its own stack in memory, by calling itself again and again".into())
            }
            Some(trap) => Self::Trap { message: trap.to_string(), backtrace: backtrace(error) },
            None => match (error.downcast_ref::<I32Exit>(), limit(error)) {
                (Some(exit), _) => Self::Exit { status: exit.0, backtrace: backtrace(error) },
                (None, Some(limit)) => Self::Limit(limit),
                (None, None) => Self::Trap { message: error.root_cause().to_string(), backtrace: backtrace(error) },
            },
        }
    }
}

/// Which limit of the engine's own was reached. It has no types for most of them.
fn limit(error: &Error) -> Option<String> {
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Some(format!("{RESOURCES_MAX} resources at once"));
    }
    let message = error.root_cause().to_string();
    let told = |part: &str| message.contains(part);
    if told("fuel allocated for hostcalls") {
        return Some(format!("{} MiB copied in one call", HOSTCALL_BYTES_MAX >> 20));
    }
    if told("requested len") && told("exceeds limit") {
        return Some(format!("{} KiB of random bytes in one call", RANDOM_BYTES_MAX >> 10));
    }
    let counted = [
        ("instance", INSTANCES_MAX, "instances"),
        ("memory", MEMORIES_MAX, "memories"),
        ("table", TABLES_MAX, "tables"),
    ];
    let (_, most, many) = counted.into_iter().find(|(one, ..)| told(&format!("limit exceeded: {one} count")))?;
    Some(format!("{most} {many}"))
}

/// Whether a backtrace goes round in a small circle for as long as it was kept.
fn is_recursion(backtrace: &[String]) -> bool {
    let circle: BTreeSet<&String> = backtrace.iter().collect();
    backtrace.len() >= 16 && circle.len() <= 4
}

/// The guest's functions, innermost first, as their author wrote their names.
fn backtrace(error: &Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let functions = trace.frames().iter().map(|frame| match frame.func_name() {
        Some(name) => rustc_demangle::try_demangle(name).map_or_else(|_| name.to_owned(), |name| format!("{name:#}")),
        None => format!("function {} at {:#x}", frame.func_index(), frame.module_offset().unwrap_or(0)),
    });
    without_giving_up(functions.collect())
}

/// A backtrace that begins where the guest's author has written something: before that stand
/// the functions by which a language gives up, which are the same for every panic.
fn without_giving_up(functions: Vec<String>) -> Vec<String> {
    let of_language = |function: &String| {
        ["std::", "core::", "alloc::", "__rust", "_rust", "rust_", "<core::", "<alloc::", "<std::"]
            .iter()
            .any(|prefix| function.starts_with(prefix))
            || ["abort", "__abort"].contains(&function.as_str())
    };
    let first = functions.iter().position(|function| !of_language(function)).unwrap_or(0);
    functions.into_iter().skip(first).take(FRAMES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guests::{Guest, component};

    /// What is said of a guest that has a page of memory and this body.
    async fn stop(body: &str) -> Stop {
        let module = format!(
            "(memory 1) (func $inner (param i32) {body}) (func (export \"f\") (param i32) (result i32) (call $inner (local.get 0)) (local.get 0))"
        );
        let mut guest = Guest::new(&component(&["f"], &module), 1 << 16).await.ok().unwrap();
        guest.call::<_, u32>("f", (0_u32,)).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_trap_is_told_with_its_functions() {
        let Stop::Trap { message, backtrace } = stop("unreachable").await else { panic!("a trap") };
        assert_eq!(message, "wasm trap: wasm `unreachable` instruction executed");
        assert_eq!(backtrace[0], "inner");
        assert_eq!(backtrace.len(), 2);
    }

    #[tokio::test]
    async fn giving_up_without_memory_is_the_limit_s_doing_and_other_traps_are_not() {
        let limit = Stop::Limit("0 MiB of memory".into());
        assert_eq!(stop("(drop (memory.grow (i32.const 1))) unreachable").await, limit);
        let trapped = stop("(drop (memory.grow (i32.const 1))) (drop (i32.div_u (i32.const 1) (i32.const 0)))").await;
        assert!(matches!(&trapped, Stop::Trap { message, .. } if message.contains("divide by zero")), "{trapped:?}");
    }

    #[tokio::test]
    async fn a_stack_in_memory_that_overflows_is_told_from_any_other_access() {
        let Stop::Trap { message, .. } = stop("(drop (i32.load (i32.const 65536)))").await else { panic!("a trap") };
        assert_eq!(message, "wasm trap: out of bounds memory access");
        let endless = "(drop (i32.load (i32.mul (local.get 0) (i32.const 1024)))) (call $inner (i32.add (local.get 0) (i32.const 1)))";
        assert!(matches!(stop(endless).await, Stop::Limit(limit) if limit.contains("its own stack in memory")));
    }

    #[test]
    fn an_exit_is_told_with_its_status() {
        let limits = Limits::new(0);
        let exit = Stop::of(&Error::new(I32Exit(3)), &limits);
        assert_eq!(exit, Stop::Exit { status: 3, backtrace: Vec::new() });
        let other = Stop::of(&Error::msg("no such thing").context("while it looked"), &limits);
        assert_eq!(other, Stop::Trap { message: "no such thing".into(), backtrace: Vec::new() });
    }

    #[test]
    fn a_backtrace_begins_with_the_guest_s_own_functions() {
        let told = |names: &[&str]| without_giving_up(names.iter().map(|name| (*name).to_owned()).collect());
        let panicked = [
            "abort",
            "__rustc::rust_panic",
            "std::panicking::panic",
            "core::option::unwrap_failed",
            "shop::build",
            "core::ops::call",
            "build",
        ];
        assert_eq!(told(&panicked), ["shop::build", "core::ops::call", "build"]);
        assert_eq!(told(&["abort", "std::process::abort"]), ["abort", "std::process::abort"], "all there is");
        assert_eq!(told(&[]), [""; 0]);
    }

    #[test]
    fn recursion_is_a_small_circle() {
        let round =
            |names: &[&str]| names.iter().cycle().take(FRAMES_MAX).map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(is_recursion(&round(&["a", "b"])));
        assert!(!is_recursion(&round(&["a", "b", "c", "d", "e"])));
        assert!(!is_recursion(&["a".to_owned()]));
    }
}
