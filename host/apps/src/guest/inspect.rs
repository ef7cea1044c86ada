//! Whether a component is an app: by its exports and imports, before it runs.

use wasmtime::Engine;
use wasmtime::component::Component;

/// The largest component, in bytes.
pub(crate) const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// What an app exports.
const HANDLER: &str = "wasi:http/incoming-handler";

/// The interfaces of WASI 0.2 that an app may import.
const OFFERED: [&str; 22] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Why some bytes are not an app. The messages are for the app's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// No WebAssembly at all.
    #[error("it is not WebAssembly: it does not begin with the magic bytes `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error(
        "it is a core WebAssembly module, not a component: build it for `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Not valid, or using what the engine does not offer.
    #[error("it is not a component that this host runs: {0}")]
    Invalid(String),
    /// It cannot answer requests.
    #[error("it does not export `wasi:http/incoming-handler@0.2`, which answers requests; it exports {found}")]
    NoHandler {
        /// What it exports.
        found: String,
    },
    /// An import that no app gets.
    #[error("it imports `{import}`, which {why}")]
    Import {
        /// The import.
        import: String,
        /// Why it is refused.
        why: &'static str,
    },
}

/// Refuses what is plainly not a component, before anything is compiled.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), Unfit> {
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

/// Checks what a compiled component exports and imports.
pub(crate) fn check_types(engine: &Engine, component: &Component) -> Result<(), Unfit> {
    let types = component.component_type();
    let is_handler =
        |name: &str| name.split_once('@').is_some_and(|(name, at)| name == HANDLER && at.starts_with("0.2."));
    if !types.exports(engine).any(|(name, _)| is_handler(name)) {
        let found: Vec<String> =
            types.exports(engine).take(12).map(|(name, _)| format!("`{}`", name.escape_debug())).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
        return Err(Unfit::NoHandler { found });
    }
    types.imports(engine).try_for_each(|(name, _)| check_import(name))
}

fn check_import(import: &str) -> Result<(), Unfit> {
    let refuse = |why| Err(Unfit::Import { import: import.escape_debug().to_string(), why });
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if OFFERED.contains(&name) {
        return match version.starts_with("0.2.") {
            true => Ok(()),
            false => refuse("is of a version that apps do not get: they get WASI 0.2"),
        };
    }
    if name.starts_with("wasi:sockets/") {
        return refuse("apps do not get: they have no network");
    }
    if name.starts_with("slipway:") {
        return refuse("is for stages of a pipeline, not for apps");
    }
    refuse("apps do not get: they get WASI 0.2 without sockets, and `wasi:http`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::engine::config;

    /// Checks a component that exports and imports instances of these names.
    fn check(exports: &[&str], imports: &[&str]) -> Result<(), Unfit> {
        let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
        let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
        let engine = Engine::new(&config(None).unwrap()).unwrap();
        let component = Component::new(&engine, format!("(component {imports} (instance $i) {exports})")).unwrap();
        check_types(&engine, &component)
    }

    #[test]
    fn an_app_exports_the_handler() {
        for version in ["0.2.0", "0.2.6"] {
            assert_eq!(check(&[&format!("wasi:http/incoming-handler@{version}")], &[]), Ok(()));
        }
        for exports in [&[][..], &["wasi:cli/run@0.2.0"], &["wasi:http/incoming-handler@0.3.0"]] {
            assert!(matches!(check(exports, &[]), Err(Unfit::NoHandler { .. })), "{exports:?}");
        }
        let refused = check(&["wasi:cli/run@0.2.0"], &[]).unwrap_err().to_string();
        assert!(refused.ends_with("it exports `wasi:cli/run@0.2.0`"), "{refused}");
    }

    #[test]
    fn an_app_gets_wasi_without_the_network() {
        let handler = &["wasi:http/incoming-handler@0.2.0"][..];
        assert_eq!(check(handler, &["wasi:http/types@0.2.4", "wasi:io/error@0.2.6"]), Ok(()));
        for import in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:io/error@0.3.0",
            "wasi:io/error",
            "wasi:keyvalue/store@0.2.0",
            "slipway:stage/secrets@0.1.0",
            "evil:corp/backdoor@1.0.0",
        ] {
            let refused = check(handler, &[import]).unwrap_err();
            assert!(matches!(&refused, Unfit::Import { import: named, .. } if named == import), "{refused}");
        }
    }

    #[test]
    fn what_is_no_component_is_told_apart() {
        assert_eq!(check_header(b"#!/bin/sh"), Err(Unfit::NotWasm));
        assert_eq!(check_header(b""), Err(Unfit::NotWasm));
        assert_eq!(check_header(b"\0asm\x01\0\0\0"), Err(Unfit::CoreModule));
        assert_eq!(check_header(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
