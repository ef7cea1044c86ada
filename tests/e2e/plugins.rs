//! Components that are no plugins: each refused with what is wrong, before anything runs.

use crate::support::{Repository, Server, guest, root};
use serde_json::json;

/// A build stage that imports what only a deploy stage may ever have.
fn imports_apps_as_a_builder() -> Vec<u8> {
    of_world(
        "use slipway:stage/types@0.1.0.{failure};
        import slipway:stage/apps@0.1.0;
        export describe: func() -> string;
        export build: func() -> result<_, failure>;",
    )
}

/// A component that a run could only trap in: its export has the right name and another type.
fn builds_a_number() -> Vec<u8> {
    of_world("export describe: func() -> string; export build: func() -> u32;")
}

/// A component of a world that is written down here, with functions that do nothing.
fn of_world(items: &str) -> Vec<u8> {
    let world = format!("package test:odd; world odd {{ {items} }}");
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_path(root().join("wit")).unwrap();
    let package = resolve.push_str("odd.wit", &world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let abi = wit_parser::ManglingAndAbi::Standard32;
    let mut module = wit_component::dummy_module(&resolve, world, abi);
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

async fn refused(server: &Server, name: &str, bytes: Option<&[u8]>) -> String {
    let pipeline = format!("name = \"{name}\"\n[stages.only]\nuses = \"./plugins/x.wasm\"\n");
    let repository = Repository::new();
    repository.write("slipway.toml", pipeline.as_bytes());
    if let Some(bytes) = bytes {
        repository.write("plugins/x.wasm", bytes);
    }
    repository.commit("one", None);
    server.add(name, repository.path()).await;
    let body = json!({ "reference": "main" });
    let (status, problem) = server.request("POST", &format!("/v1/pipelines/{name}/runs"), Some(body)).await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("invalid-definition")), "{name}: {problem:#}");
    assert_eq!(problem["diagnostics"][0]["line"], 3, "{problem:#}");
    problem["diagnostics"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused_with_the_reason() {
    let server = Server::start();
    for (name, bytes, reason) in [
        ("missing", None, "there is no such plugin"),
        ("script", Some(b"#!/bin/sh\necho hello\n".to_vec()), "it is not WebAssembly"),
        ("empty", Some(Vec::new()), "it is not WebAssembly"),
        ("core", Some(b"\0asm\x01\0\0\0".to_vec()), "it is a core WebAssembly module, not a component"),
        ("truncated", Some(guest("noop_build")[..5_000].to_vec()), "it is not a component that this host runs"),
        ("other-world", Some(b"\0asm\x0d\0\x01\0".to_vec()), "which fits none of the worlds"),
        ("traps", Some(guest("traps_in_describe")), "`describe` trapped"),
        ("garbage", Some(guest("describes_garbage")), "`describe` returned no document of a plugin"),
        ("other-kind", Some(guest("describes_other_kind")), "its exports make it a build stage"),
        ("calls", Some(guest("calls_in_describe")), "`describe` called an import"),
        (
            "number",
            Some(builds_a_number()),
            "it exports `build`, which is not the function `func() -> result<_, failure>`",
        ),
        ("beyond", Some(imports_apps_as_a_builder()), "`slipway:stage/apps@0.1.0`"),
    ] {
        let message = refused(&server, name, bytes.as_deref()).await;
        assert!(message.contains(reason), "{name}: {message}");
    }
    assert!(server.get("/v1/runs").await["runs"].as_array().unwrap().is_empty(), "nothing was run");
}
