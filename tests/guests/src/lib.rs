//! What the guests in `examples/` share.
//!
//! Each guest shows one behaviour and has a test of the same name in the host. Most are
//! written with the SDK; those that do what it would never do, or that are measured,
//! export by hand and use [`description!`].

use slipway_sdk::prelude::Failure;

/// Fails the stage unless something is as it should be.
pub fn expect(what: &str, holds: bool) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new("not-as-it-should-be", format!("{what} is not as it should be"))) }
}

/// Returns a description, put together at compile time.
#[macro_export]
macro_rules! description {
    ($name:literal, $kind:literal) => {
        concat!(
            r#"{"schema":1,"name":""#,
            $name,
            r#"","version":"1.0.0","kind":""#,
            $kind,
            r#"","summary":"A guest of the tests","config_schema":{"type":"object"},"capabilities":[]}"#,
        )
    };
}
