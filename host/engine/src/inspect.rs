//! From bytes to a component, and what is said of bytes that are none.

/// The largest component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// The longest of the engine's messages, in characters.
const MESSAGE_CHARS_MAX: usize = 400;
/// How many names are listed.
const NAMES_MAX: usize = 12;

/// Why some bytes are not a component that runs here. The messages are for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No WebAssembly at all.
    #[error("it is not WebAssembly: it does not begin with the magic bytes `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error(
        "it is a core WebAssembly module, not a component: build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Too large.
    #[error("it has {bytes} bytes, more than the {COMPONENT_BYTES_MAX} that a component may have")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not valid, or using what the engine does not offer.
    #[error("it is not a component that this host runs: {0}")]
    Invalid(String),
    /// Compiling it takes more than it may.
    #[error("{0}")]
    TooMuch(String),
    /// The host had trouble: this says nothing of the component.
    #[error("{0}")]
    NotNow(String),
}

impl Unfit {
    /// What the engine says of it: the first line, since it goes on for pages about offsets.
    pub fn invalid(error: &wasmtime::Error) -> Self {
        Self::Invalid(Self::reason(error))
    }

    pub(crate) fn reason(error: &wasmtime::Error) -> String {
        format!("{error:#}").lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect()
    }
}

/// Refuses what is plainly not a component, before anything is compiled.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Unfit> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(Unfit::TooLarge { bytes: bytes.len() });
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(Unfit::NotWasm);
    }
    // Bytes 6 and 7 hold the layer: 0 for a core module, 1 for a component
    // (component-model/design/mvp/Binary.md).
    if bytes.get(6..8) == Some(&[0, 0]) {
        return Err(Unfit::CoreModule);
    }
    Ok(())
}

/// The first of a component's names, for a message.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> =
        names.into_iter().take(NAMES_MAX).map(|name| format!("`{}`", name.escape_debug())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert_eq!(check_header(b"#!/bin/sh"), Err(Unfit::NotWasm));
        assert_eq!(check_header(b""), Err(Unfit::NotWasm));
        assert_eq!(check_header(b"\0asm\x01\0\0\0"), Err(Unfit::CoreModule));
        assert_eq!(check_header(b"\0asm\x0d\0\x01\0"), Ok(()));
    }

    #[test]
    fn a_component_has_a_largest_size() {
        let mut bytes = vec![0; COMPONENT_BYTES_MAX];
        bytes[..8].copy_from_slice(b"\0asm\x0d\0\x01\0");
        assert_eq!(check_header(&bytes), Ok(()));
        bytes.push(0);
        assert_eq!(check_header(&bytes), Err(Unfit::TooLarge { bytes: COMPONENT_BYTES_MAX + 1 }));
    }

    #[test]
    fn names_are_listed_so_that_they_cannot_forge_a_message() {
        assert_eq!(listed([]), "nothing");
        assert_eq!(listed(["a", "b\n"]), "`a`, `b\\n`");
        assert_eq!(listed(["a"; 100]).matches('a').count(), NAMES_MAX);
    }
}
