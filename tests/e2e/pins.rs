//! What a pipeline took its plugins for holds, whatever comes under their names later.

use crate::support::{Repository, Server, guest, slipway};
use serde_json::{Value, json};
use std::path::Path;

fn update(folder: &Path, cache: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = slipway();
    command.args(["plugin", "update"]).arg(folder).args(more).env("XDG_CACHE_HOME", cache);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn trigger(server: &Server) -> (u16, Value) {
    server.request("POST", "/v1/pipelines/pinned/runs", Some(json!({ "reference": "main" }))).await
}

/// Threat T47.
#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_under_a_pinned_name_are_refused_until_somebody_agrees() {
    let (server, cache) = (Server::start(), tempfile::tempdir().unwrap());
    let repository = Repository::new();
    let pipeline = "name = \"pinned\"\n[stages.only]\nuses = \"./plugins/lint.wasm\"\n";
    repository.write("slipway.toml", pipeline.as_bytes());
    repository.write("plugins/lint.wasm", &guest("noop_build"));
    let (code, out, err) = update(repository.path(), cache.path(), &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("+ ./plugins/lint.wasm  ") && err.contains("commit it"), "{out}{err}");
    repository.commit("pin", None);
    server.add("pinned", repository.path()).await;
    assert_eq!(trigger(&server).await.0, 202);

    // The plugin is swapped for one that wants secrets.
    repository.write("plugins/lint.wasm", &guest("reads_ungranted_secret"));
    repository.commit("swap", None);
    let (status, problem) = trigger(&server).await;
    let found = &problem["diagnostics"][0];
    assert_eq!(
        (status, found["code"].as_str(), found["line"].as_u64()),
        (422, Some("other-plugin"), Some(3)),
        "{problem:#}"
    );
    assert!(found["hint"].as_str().unwrap().contains("slipway plugin update"), "{found:#}");

    // Nobody is there to agree, so nothing is written; `--check` only looks.
    let before = std::fs::read(repository.path().join("slipway.lock")).unwrap();
    let (code, out, err) = update(repository.path(), cache.path(), &[]);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("+ imports secrets") && err.contains("`--yes`"), "{out}{err}");
    assert_eq!(update(repository.path(), cache.path(), &["--check"]).0, 1);
    assert_eq!(std::fs::read(repository.path().join("slipway.lock")).unwrap(), before);

    let (code, _, err) = update(repository.path(), cache.path(), &["--yes"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(update(repository.path(), cache.path(), &["--check"]).0, 0);
    repository.commit("agree", None);
    let (status, problem) = trigger(&server).await;
    assert_ne!(problem["diagnostics"][0]["code"], "other-plugin", "{status} {problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugins_of_a_server_are_pinned_as_it_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "require_pins = true\n[untrusted]\ntools = [\"*\"]\n").unwrap();
    let server = Server::start_with(&["--policy", policy.to_str().unwrap()]);
    let repository = Repository::new();
    let pipeline = "name = \"pinned\"\n[stages.build]\nuses = \"cargo@1\"\ngrant.tools = [\"rust\"]\n";
    repository.write("slipway.toml", pipeline.as_bytes());
    repository.commit("no pins", None);
    server.add("pinned", repository.path()).await;
    let (status, problem) = trigger(&server).await;
    assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some("not-pinned")), "{problem:#}");

    let token = server.data().join("token");
    let more = ["--from-server", "--server", server.api.as_str(), "--token-file", token.to_str().unwrap()];
    let (code, _, err) = update(repository.path(), folder.path(), &more);
    assert_eq!(code, 0, "{err}");
    repository.commit("pins", None);
    assert_eq!(trigger(&server).await.0, 202);

    // A lock file that tells less than the plugin can do is no review.
    let lock = std::fs::read_to_string(repository.path().join("slipway.lock")).unwrap();
    let shorter = lock.replace("    \"imports tools\",\n", "");
    assert_ne!(lock, shorter);
    repository.write("slipway.lock", shorter.as_bytes());
    repository.commit("hide", None);
    let (status, problem) = trigger(&server).await;
    assert_eq!((status, problem["diagnostics"][0]["code"].as_str()), (422, Some("wrong-pin")), "{problem:#}");
}
