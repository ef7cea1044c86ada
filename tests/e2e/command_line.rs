//! The command line as people use it.

use crate::support::{Repository, Server, guest, root, slipway};

fn output(command: &mut std::process::Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn run_needs_no_server() {
    let cache = tempfile::tempdir().unwrap();
    let repository = Repository::new();
    repository.write("slipway.toml", b"name = \"local\"\n[stages.only]\nuses = \"./plugins/says_hello.wasm\"\n");
    repository.write("plugins/says_hello.wasm", &guest("says_hello"));
    let run = |folder: &std::path::Path| output(slipway().arg("run").arg(folder).env("XDG_CACHE_HOME", cache.path()));
    let (code, out, err) = run(repository.path());
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("✓ only  passed"), "{out}");
    repository.write("slipway.toml", b"name = \"local\"\n[stages.only]\nuses = \"./plugins/nothing.wasm\"\n");
    let (code, _, err) = run(repository.path());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("slipway.toml:3:8") && err.contains("nothing was run"), "{err}");
}

#[test]
fn check_shows_the_line_and_the_way_out() {
    let cache = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slipway.toml");
    let check = || output(slipway().arg("check").arg(folder.path()).env("XDG_CACHE_HOME", cache.path()));
    std::fs::write(&file, "name = \"a\"\n[stages.build]\nuses = \"crago@1\"\n").unwrap();
    let (code, _, err) = check();
    assert_eq!(code, 1);
    assert!(err.contains("did you mean `cargo@1`?") && err.contains(":3:8"), "{err}");
    std::fs::copy(root().join("tests/app/slipway.toml"), &file).unwrap();
    let (code, out, err) = check();
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("tool `rust`"), "{out}");
}

#[test]
fn inspect_tells_what_a_plugin_can_touch() {
    let cache = tempfile::tempdir().unwrap();
    let (code, out, _) = output(slipway().args(["plugin", "inspect", "cargo"]).env("XDG_CACHE_HOME", cache.path()));
    assert_eq!(code, 0);
    assert!(out.contains("a build stage (world `builder`)") && out.contains("run the native tools"), "{out}");
    let core = cache.path().join("core.wasm");
    std::fs::write(&core, b"\0asm\x01\0\0\0").unwrap();
    let (code, _, err) = output(slipway().args(["plugin", "inspect"]).arg(&core).env("XDG_CACHE_HOME", cache.path()));
    assert_eq!(code, 1);
    assert!(err.contains("core WebAssembly module"), "{err}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let server = Server::start();
    let listen = server.api.trim_start_matches("http://").to_owned();
    let (code, _, err) = output(slipway().args(["serve", "--data"]).arg(server.data()));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("is used by another Slipway") && err.contains("hint:"), "{err}");
    let other = tempfile::tempdir().unwrap();
    let (code, _, err) = output(slipway().args(["serve", "--listen", &listen, "--data"]).arg(other.path()));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&format!("cannot listen on `{listen}`")) && err.contains("--listen"), "{err}");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("slipway.db"), "this is no database, but somebody's notes").unwrap();
    let (code, _, err) = output(slipway().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(foreign.path()));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("is not a Slipway database"), "{err}");
}

#[test]
fn a_database_of_another_version_is_left_as_it_is() {
    use std::io::{Read, Seek, SeekFrom, Write};
    let mut server = Server::start();
    server.stop();
    let path = server.data().join("slipway.db");
    // The schema's version stands at byte 60 of the header (sqlite.org/fileformat.html).
    let mut file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    for (version, advice) in [(0_u32, "written by an older version"), (99, "written by a newer version")] {
        file.seek(SeekFrom::Start(60)).unwrap();
        file.write_all(&version.to_be_bytes()).unwrap();
        let (code, _, err) = output(slipway().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(server.data()));
        assert_eq!(code, 3, "{err}");
        assert!(err.contains(&format!("has schema version {version}")) && err.contains(advice), "{err}");
    }
    let mut now = [0; 4];
    file.seek(SeekFrom::Start(60)).unwrap();
    file.read_exact(&mut now).unwrap();
    assert_eq!(u32::from_be_bytes(now), 99, "nothing was changed");
}

#[test]
fn an_apps_port_in_use_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = output(
        slipway().args(["serve", "--listen", "127.0.0.1:0", "--apps-listen", &address, "--data"]).arg(folder.path()),
    );
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&address) && err.contains("--apps-listen"), "{err}");
}

#[test]
fn a_server_that_cannot_be_reached_is_told_with_the_way_out() {
    let (code, _, err) = output(slipway().args(["runs", "--server", "http://127.0.0.1:1"]).env("SLIPWAY_TOKEN", "x"));
    assert_eq!(code, 3);
    assert!(err.contains("cannot reach the server") && err.contains("slipway serve"), "{err}");
}

#[test]
fn help_and_completions_are_there() {
    let (code, out, _) = output(slipway().arg("--help"));
    assert_eq!(code, 0);
    for command in ["run", "check", "serve", "trigger", "logs", "rollback", "doctor"] {
        assert!(out.contains(&format!("  {command} ")), "{command}: {out}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = output(slipway().args(["completions", shell]));
        assert!(code == 0 && out.contains("slipway"), "{shell}");
    }
}
