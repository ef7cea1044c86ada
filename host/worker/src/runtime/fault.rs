//! What a wasmtime error means to people. Its type ends here.

use slipway_domain::outcome::Fault;
use slipway_engine::{Limits, Stop};
use wasmtime::Error;

/// Control said what it should never say.
#[derive(Debug, thiserror::Error)]
#[error("control answered with an unexpected `{0}`")]
pub struct Unexpected(pub String);

/// Tells a fault of the host from a limit from a trap.
pub fn classify(error: &Error, limits: &Limits) -> Fault {
    // First, since the host fails whatever was refused to the guest before.
    if is_host(error) {
        return Fault::Host { message: format!("{error:#}") };
    }
    match Stop::of(error, limits) {
        Stop::Limit(limit) => Fault::Limit { limit },
        Stop::Crowded => Fault::Limit { limit: "the memory that all stages share".into() },
        Stop::Exit { status, backtrace } => {
            Fault::Trap { message: format!("the guest called exit({status}) instead of returning"), backtrace }
        }
        Stop::Trap { message, backtrace } => Fault::Trap { message, backtrace },
    }
}

/// Whether a host function could not do its part, through no fault of the guest.
fn is_host(error: &Error) -> bool {
    error.downcast_ref::<crate::transfer::Error>().is_some()
        || error.downcast_ref::<crate::workspace::Error>().is_some()
        || error.downcast_ref::<std::io::Error>().is_some()
        || error.downcast_ref::<tokio::task::JoinError>().is_some()
        || error.downcast_ref::<crate::outbox::Fenced>().is_some()
        || error.downcast_ref::<Unexpected>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Fenced;
    use wasmtime::{ResourceLimiter, Trap};

    /// Limits of which one was refused: the guest got less memory than it asked for.
    fn refused() -> Limits {
        let mut limits = Limits::new(1 << 20);
        assert!(!limits.memory_growing(0, 2 << 20, None).unwrap());
        limits
    }

    #[test]
    fn the_host_s_own_errors_are_its_faults() {
        for error in [
            Error::new(std::io::Error::other("disk")),
            Error::new(Fenced),
            Error::new(Unexpected("Done".into())),
            Error::new(std::io::Error::other("disk")).context("while it wrote"),
        ] {
            for limits in [Limits::new(0), refused()] {
                assert!(matches!(classify(&error, &limits), Fault::Host { .. }), "{error:?}");
            }
        }
    }

    #[test]
    fn a_guest_s_end_is_a_limit_or_a_trap() {
        let none = Limits::new(0);
        let stack = Fault::Limit { limit: "512 KiB of stack".into() };
        assert_eq!(classify(&Error::new(Trap::StackOverflow), &none), stack);
        let memory = Fault::Limit { limit: "1 MiB of memory".into() };
        assert_eq!(classify(&Error::new(Trap::UnreachableCodeReached), &refused()), memory);
        let trap = classify(&Error::new(Trap::UnreachableCodeReached), &none);
        assert!(matches!(trap, Fault::Trap { .. }), "{trap:?}");
        let exit = classify(&Error::new(wasmtime_wasi::I32Exit(3)), &none);
        assert!(matches!(&exit, Fault::Trap { message, .. } if message.contains("exit(3)")), "{exit:?}");
    }
}
