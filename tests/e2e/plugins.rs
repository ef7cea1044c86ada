//! Components that are no plugins: each refused with what is wrong, before anything runs.

use crate::support::{Repository, Server, guest};
use serde_json::json;

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
    ] {
        let message = refused(&server, name, bytes.as_deref()).await;
        assert!(message.contains(reason), "{name}: {message}");
    }
    assert!(server.get("/v1/runs").await["runs"].as_array().unwrap().is_empty(), "nothing was run");
}
