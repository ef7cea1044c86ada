//! What a component is, from its bytes alone: its kind by its exports, and whether it
//! imports only what a stage of that kind may have.

use crate::runtime::wit::v0::Failure;
use slipway_domain::grant::Interface;
use slipway_domain::plugin::Kind;
use slipway_engine::wasi;
use std::collections::BTreeSet;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, Lift};

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Its kind.
    pub kind: Kind,
    /// Its imports, by their full names.
    pub imports: Vec<String>,
}

/// Why some bytes are not a plugin. The messages are for the plugin's author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not a component that runs here at all.
    #[error(transparent)]
    Component(#[from] slipway_engine::Unfit),
    /// No world fits its exports.
    #[error(
        "it exports {found}, which fits none of the worlds: `builder` exports `describe` and `build`, `tester` `describe` and `test`, `deployer` `describe`, `plan`, `apply` and `rollback`"
    )]
    NoWorld {
        /// What it exports.
        found: String,
    },
    /// An export of the right name that cannot be called as the world says.
    #[error("it exports `{export}`, which is not the function `{wanted}` of world `{world}`: {why}")]
    Export {
        /// The export.
        export: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// The world.
        world: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// An import that no stage may have, or not a stage of this kind.
    #[error("it imports `{import}`, which {why}")]
    Import {
        /// The import.
        import: String,
        /// Why it is refused.
        why: String,
    },
}

impl Unfit {
    /// Whether it is about the host, and not the component.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Component(slipway_engine::Unfit::NotNow(_)))
    }
}

/// Finds the kind of a compiled component and checks its imports against it.
pub fn shape(engine: &Engine, component: &Component) -> Result<Shape, Unfit> {
    let types = component.component_type();
    let exports: BTreeSet<String> = types.exports(engine).map(|(name, _)| name.to_owned()).collect();
    let imports: Vec<String> = types.imports(engine).map(|(name, _)| name.to_owned()).collect();
    let fits = |kind: &Kind| exports.contains("describe") && kind.exports().iter().all(|name| exports.contains(*name));
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(fits).collect();
    let [kind] = kinds[..] else {
        let found = slipway_engine::listed(exports.iter().map(String::as_str));
        return Err(Unfit::NoWorld { found });
    };
    for import in &imports {
        check_import(kind, import)?;
    }
    check_export::<(String,)>(engine, component, kind, "describe", "func() -> string")?;
    for export in kind.exports() {
        check_export::<(Result<(), Failure>,)>(engine, component, kind, export, "func() -> result<_, failure>")?;
    }
    Ok(Shape { kind, imports })
}

/// Checks that an export can be called without arguments and returns `R`.
fn check_export<R: ComponentNamedList + Lift>(
    engine: &Engine,
    component: &Component,
    kind: Kind,
    export: &'static str,
    wanted: &'static str,
) -> Result<(), Unfit> {
    let types = component.component_type();
    let why = match types.get_export(engine, export).map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(function)) if function.async_() => "it is asynchronous".to_owned(),
        Some(ComponentItem::ComponentFunc(function)) => match function.typecheck::<(), R>(&types.instance_type()) {
            Ok(()) => return Ok(()),
            Err(error) => format!("{error:#}"),
        },
        Some(_) | None => "it is no function".to_owned(),
    };
    Err(Unfit::Export { export, wanted, world: kind.world(), why })
}

fn check_import(kind: Kind, import: &str) -> Result<(), Unfit> {
    let refuse = |why: String| Err(Unfit::Import { import: import.escape_debug().to_string(), why });
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    if let Some(interface) = name.strip_prefix("slipway:stage/") {
        if !version.starts_with("0.1.") {
            return refuse("is of a version of the contract that this host does not have: it has `0.1.0`".into());
        }
        if interface == "types" {
            return Ok(());
        }
        return match Interface::parse(interface) {
            None => refuse("is not an interface of `slipway:stage@0.1.0`".into()),
            Some(known) if !kind.interfaces().contains(&known) => {
                refuse(format!("a {kind} stage cannot have: it is not in world `{}`", kind.world()))
            }
            Some(_) => Ok(()),
        };
    }
    if wasi::offers(name) && version.starts_with("0.2.") {
        return Ok(());
    }
    if name.starts_with("wasi:sockets/") || name.starts_with("wasi:http/") {
        return refuse("no stage can have: the network is reached through granted tools only".into());
    }
    if name.starts_with("wasi:") {
        return refuse("this host does not offer: stages get WASI 0.2 without sockets and HTTP".into());
    }
    refuse("this host does not offer".into())
}

/// The Slipway interfaces among full import names.
pub fn interfaces(imports: &[String]) -> BTreeSet<Interface> {
    imports
        .iter()
        .filter_map(|import| import.strip_prefix("slipway:stage/"))
        .filter_map(|rest| Interface::parse(rest.split('@').next().unwrap_or(rest)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(component: impl AsRef<[u8]>) -> Result<Shape, Unfit> {
        let engine = Engine::new(&slipway_engine::config().unwrap()).unwrap();
        let component = Component::new(&engine, component).unwrap();
        shape(&engine, &component)
    }

    /// A component that exports functions of these names and imports these instances.
    fn wat(exports: &[&str], imports: &[&str]) -> String {
        let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
        let function = |name: &str| if name == "describe" { "$text" } else { "$result" };
        let exports = exports.iter().map(|name| format!("(export \"{name}\" (func {}))", function(name)));
        format!(
            r#"(component {imports}
             (import "slipway:stage/types@0.1.999" (instance $types
                 (type $details (list (tuple string string)))
                 (type $failure (record (field "code" string) (field "message" string) (field "retryable" bool)
                     (field "details" $details)))
                 (export "failure" (type (eq $failure)))))
             (alias export $types "failure" (type $failure))
             (core module $m (memory (export "memory") 1)
                 (func (export "pointer") (result i32) (i32.const 0)))
             (core instance $i (instantiate $m))
             (func $text (result string) (canon lift (core func $i "pointer") (memory (core memory $i "memory"))))
             (func $result (result (result (error $failure)))
                 (canon lift (core func $i "pointer") (memory (core memory $i "memory")))) {exports})"#,
            exports = exports.collect::<String>()
        )
    }

    /// A component of a world that is written down here, with functions that do nothing.
    fn of_world(exports: &str) -> Vec<u8> {
        let world = format!(
            "package test:odd; world odd {{ use slipway:stage/types@0.1.0.{{failure}}; record other {{ code: string }} \
             {exports} }}"
        );
        let mut resolve = wit_parser::Resolve::default();
        resolve.push_path(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")).unwrap();
        let package = resolve.push_str("odd.wit", &world).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        let mut module = wit_component::dummy_module(&resolve, world, wit_parser::ManglingAndAbi::Standard32);
        let encoding = wit_component::StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
        wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
    }

    #[test]
    fn an_export_has_the_type_of_its_world() {
        let describe = "export describe: func() -> string;";
        let fits = [
            format!("{describe} export build: func() -> result<_, failure>;"),
            format!("{describe} export build: func() -> result<_, failure>; export more: func();"),
        ];
        for exports in fits {
            assert_eq!(shape_of(of_world(&exports)).unwrap().kind, Kind::Build, "{exports}");
        }
        for (export, exports) in [
            ("build", format!("{describe} export build: func() -> u32;")),
            ("build", format!("{describe} export build: func();")),
            ("build", format!("{describe} export build: func() -> result;")),
            ("build", format!("{describe} export build: func() -> result<_, string>;")),
            ("build", format!("{describe} export build: func() -> result<_, other>;")),
            ("build", format!("{describe} export build: func() -> result<u32, failure>;")),
            ("build", format!("{describe} export build: func(all: bool) -> result<_, failure>;")),
            ("build", format!("{describe} export build: interface {{ run: func(); }}")),
            ("describe", "export describe: func() -> u32; export build: func() -> result<_, failure>;".into()),
            (
                "rollback",
                format!(
                    "{describe} export plan: func() -> result<_, failure>; export apply: func() -> result<_, failure>; \
                     export rollback: func();"
                ),
            ),
        ] {
            let refused = shape_of(of_world(&exports)).unwrap_err();
            assert!(matches!(refused, Unfit::Export { export: named, .. } if named == export), "{exports}: {refused}");
            assert!(refused.to_string().contains(&format!("`{export}`")), "{refused}");
        }
    }

    #[test]
    fn the_exports_tell_the_kind() {
        for (exports, kind) in [
            (&["describe", "build"][..], Kind::Build),
            (&["describe", "test"], Kind::Test),
            (&["describe", "plan", "apply", "rollback"], Kind::Deploy),
        ] {
            assert_eq!(shape_of(wat(exports, &[])).unwrap().kind, kind);
        }
        for exports in [&["build"][..], &["describe"], &["describe", "plan"], &["describe", "build", "test"], &[]] {
            assert!(matches!(shape_of(wat(exports, &[])), Err(Unfit::NoWorld { .. })), "{exports:?}");
        }
    }

    #[test]
    fn a_world_has_its_own_imports_and_no_others() {
        let builder = &["describe", "build"][..];
        let deployer = &["describe", "plan", "apply", "rollback"][..];
        assert!(shape_of(wat(builder, &["slipway:stage/tools@0.1.0", "wasi:io/error@0.2.6"])).is_ok());
        assert!(shape_of(wat(deployer, &["slipway:stage/apps@0.1.0"])).is_ok());
        for (exports, import) in [
            (builder, "slipway:stage/apps@0.1.0"),
            (deployer, "slipway:stage/tools@0.1.0"),
            (builder, "slipway:stage/log@9.0.0"),
            (builder, "slipway:stage/cluster@0.1.0"),
            (builder, "wasi:sockets/tcp@0.2.6"),
            (builder, "wasi:http/outgoing-handler@0.2.6"),
            (builder, "wasi:io/error@0.3.0"),
            (builder, "evil:corp/backdoor@1.0.0"),
        ] {
            let refused = shape_of(wat(exports, &[import])).unwrap_err();
            assert!(matches!(&refused, Unfit::Import { import: named, .. } if named == import), "{refused}");
        }
    }
}
