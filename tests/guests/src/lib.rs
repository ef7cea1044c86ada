//! What the guests in `examples/` share.
//!
//! Each guest shows one behaviour and has a test of the same name in the host. Most are
//! written with the SDK; those that do what it would never do, or that are measured,
//! export by hand and use [`description!`].

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
