//! Components that no compiler would make: core modules of the world `builder`, written by hand.

use crate::support::root;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a module does in place of what it should.
#[derive(Default)]
pub struct Odd {
    /// The fields of the module beside its exports, such as more functions.
    pub fields: &'static str,
    /// The pages of its memory, as they are declared.
    pub memory: Option<&'static str>,
    /// What `build` does; it leaves the place of its result.
    pub build: Option<&'static str>,
    /// What `describe` leaves.
    pub describe: Option<&'static str>,
    /// What finds memory for the host.
    pub realloc: Option<&'static str>,
    /// What is called after `build` has returned.
    pub post_return: Option<&'static str>,
    /// More imports and exports of the world.
    pub world: &'static str,
}

const DESCRIPTION: &str = r#"{"schema":1,"name":"odd","version":"1.0.0","kind":"build","summary":"s"}"#;

/// The component of a module.
pub fn component(odd: &Odd) -> Vec<u8> {
    let text = DESCRIPTION.replace('"', "\\22");
    let build = odd.build.unwrap_or("(i32.const 4096)");
    let describe = odd.describe.unwrap_or("(i32.const 0)");
    let realloc = odd.realloc.unwrap_or("(i32.const 8192)");
    let post = odd
        .post_return
        .map_or_else(String::new, |post| format!("(func (export \"cabi_post_build\") (param i32) {post})"));
    let module = format!(
        "(module
            {imports}
            (memory (export \"memory\") {memory})
            (data (i32.const 0) \"\\08\\00\\00\\00\\{length:02x}\\00\\00\\00{text}\")
            {fields}
            (func (export \"describe\") (result i32) {describe})
            (func (export \"build\") (result i32) {build})
            {post}
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {realloc}))",
        imports = if odd.world.is_empty() {
            ""
        } else {
            "(import \"slipway:stage/run@0.1.0\" \"id\" (func $id (param i32)))"
        },
        memory = odd.memory.unwrap_or("1"),
        length = DESCRIPTION.len(),
        fields = odd.fields,
    );
    let mut module = ::wat::parse_str(&module).unwrap_or_else(|error| panic!("{module}: {error}"));
    let world = format!(
        "package test:odd; world odd {{ use slipway:stage/types@0.1.0.{{failure}}; {} \
         export describe: func() -> string; export build: func() -> result<_, failure>; }}",
        odd.world
    );
    let mut resolve = Resolve::default();
    resolve.push_path(root().join("wit")).unwrap();
    let package = resolve.push_str("odd.wit", &world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}
