//! Whether a component is an app: by its exports and imports, before it runs.

use slipway_engine::wasi;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What an app exports.
const HANDLER: &str = "wasi:http/incoming-handler";

/// What an app may import beyond WASI as every guest gets it.
const HTTP: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

/// Why some bytes are not an app. The messages are for the app's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Not a component that runs here at all.
    #[error(transparent)]
    Component(#[from] slipway_engine::Unfit),
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

/// Checks what a compiled component exports and imports.
pub(crate) fn check_types(engine: &Engine, component: &Component) -> Result<(), Unfit> {
    let types = component.component_type();
    let is_handler =
        |name: &str| name.split_once('@').is_some_and(|(name, at)| name == HANDLER && at.starts_with("0.2."));
    if !types.exports(engine).any(|(name, _)| is_handler(name)) {
        let found = slipway_engine::listed(types.exports(engine).map(|(name, _)| name));
        return Err(Unfit::NoHandler { found });
    }
    types.imports(engine).try_for_each(|(name, _)| check_import(name))
}

fn check_import(import: &str) -> Result<(), Unfit> {
    let refuse = |why| Err(Unfit::Import { import: import.escape_debug().to_string(), why });
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if wasi::offers(name) || HTTP.contains(&name) {
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

    /// Checks a component that exports and imports instances of these names.
    fn check(exports: &[&str], imports: &[&str]) -> Result<(), Unfit> {
        let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
        let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
        let engine = Engine::new(&slipway_engine::config().unwrap()).unwrap();
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
}
