//! The command line as people use it.

use crate::runs::until_running;
use crate::support::{Repository, Server, guest, root, slipway};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Whether something in a text would act on a terminal.
fn acts(text: &str) -> bool {
    text.chars().any(|c| c != '\n' && slipway_domain::text::is_deceptive(c))
}

fn output(command: &mut Command) -> (i32, String, String) {
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
    let kept = cache.path().join("kept");
    for _again in 0..2 {
        let mut command = slipway();
        command.args(["run", "--artifacts"]).arg(&kept).arg(repository.path()).env("XDG_CACHE_HOME", cache.path());
        let (code, _, err) = output(&mut command);
        assert!(code == 0 && err.contains("1 artifact written to"), "{err}");
        assert_eq!(std::fs::read_to_string(kept.join("only/greeting.txt")).unwrap(), "hello\n");
    }
    let twice = ["run", "-p", "a=1", "-p", "a=2"];
    let (code, _, err) = output(slipway().args(twice).arg(repository.path()));
    assert!(code == 2 && err.contains("parameter `a` is given twice"), "{err}");
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
    assert!(out.contains("deploy  apps   hello  tier"), "{out}");
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
    let anywhere = ["serve", "--listen", "127.0.0.1:0", "--apps-listen", "127.0.0.1:0", "--data"];
    let (code, _, err) = output(slipway().args(anywhere).arg(server.data()));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("is used by another Slipway") && err.contains("hint:"), "{err}");
    let other = tempfile::tempdir().unwrap();
    let (code, _, err) = output(slipway().args(["serve", "--listen", &listen, "--data"]).arg(other.path()));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains(&format!("cannot listen on `{listen}`")) && err.contains("--listen"), "{err}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0, "a start that failed left something behind");
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("slipway.db"), "this is no database, but somebody's notes").unwrap();
    let (code, _, err) = output(slipway().args(anywhere).arg(foreign.path()));
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
        let anywhere = ["serve", "--listen", "127.0.0.1:0", "--apps-listen", "127.0.0.1:0", "--data"];
        let (code, _, err) = output(slipway().args(anywhere).arg(server.data()));
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
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a start that failed left something behind");
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
    for command in ["run", "check", "serve", "trigger", "logs", "rollback", "token", "doctor"] {
        assert!(out.contains(&format!("  {command} ")), "{command}: {out}");
    }
    assert!(out.contains("Exit codes:") && out.contains("  4  a run was cancelled"), "{out}");
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = output(slipway().args(["completions", shell]));
        assert!(code == 0 && out.contains("slipway"), "{shell}");
    }
}

/// A command that asks a server.
fn ask(server: &Server, args: &[&str]) -> Command {
    let mut command = slipway();
    command.args(args).env("SLIPWAY_SERVER", &server.api).env("SLIPWAY_TOKEN", &server.token);
    command
}

#[test]
fn only_regular_files_of_a_sane_size_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| output(slipway().args(args).env("XDG_CACHE_HOME", folder.path()));
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in ["/dev/zero", pipe.to_str().unwrap()] {
        for command in [vec!["check", path], vec!["plugin", "inspect", path]] {
            let (code, _, err) = run(&command);
            assert!(code == 2 && err.contains("it is not a regular file"), "{command:?}: {code} {err}");
        }
    }
    let project = folder.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let file = project.join("slipway.toml");
    let good = format!("name = \"a\"\n[stages.test]\nuses = \"./x.wasm\"\n#{}", "x".repeat(200 << 10));
    std::fs::write(project.join("x.wasm"), guest("noop_test")).unwrap();
    std::fs::write(&file, &good).unwrap();
    let (code, _, err) = run(&["check", project.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    std::fs::write(&file, good.repeat(2)).unwrap();
    let (code, _, err) = run(&["check", project.to_str().unwrap()]);
    assert!(code == 1 && err.contains("larger than 262144 bytes"), "{code} {err}");
    std::fs::write(&file, b"name = \"a\"\n# \xff\n").unwrap();
    for command in ["check", "run"] {
        let (code, _, err) = run(&[command, project.to_str().unwrap()]);
        assert!(code == 1 && err.contains("byte 14 of the file, 0xff, is not UTF-8"), "{command}: {code} {err}");
        assert!(err.contains("slipway.toml:2:3]"), "{command}: {err}");
    }
    let huge = std::fs::File::create(folder.path().join("huge.wasm")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    let (code, _, err) = run(&["plugin", "inspect", folder.path().join("huge.wasm").to_str().unwrap()]);
    assert!(code == 1 && err.contains("larger than 67108864 bytes"), "{code} {err}");
}

/// Threat T66.
#[test]
fn nothing_that_a_file_says_acts_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slipway.toml");
    let hostile = "name = \"a\"\n[\"\\u001b]0;x\\u0007\\u009b31m\\u202e\"]\n[stages.\"b\\u001b[2J\"]\nuses = \"\u{202e}\u{9b}x\" # \u{2067}\n";
    std::fs::write(&file, hostile).unwrap();
    for args in [vec!["check"], vec!["check", "--json"]] {
        let (code, out, err) = output(slipway().args(&args).arg(&file).env("XDG_CACHE_HOME", folder.path()));
        assert_eq!(code, 1, "{out}{err}");
        assert!(!acts(&out) && !acts(&err), "{out:?} {err:?}");
        assert!((out + &err).contains("there is no key"), "something is said");
    }
}

#[test]
fn a_place_is_shown_once_and_in_characters() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("slipway.toml"), "name = \"a\"\nstages = { \"ä\" = 1, \"ß\" = 2 }\n").unwrap();
    let (_, _, err) = output(slipway().arg("check").arg(folder.path()));
    let (_, out, _) = output(slipway().args(["check", "--json"]).arg(folder.path()));
    let found: Value = serde_json::from_str(&out).unwrap();
    let second = &found["diagnostics"][1];
    assert!(err.contains(&format!("slipway.toml:{}:{}]", second["line"], second["column"])), "{second} {err}");
    assert!(!err.contains("slipway.toml:2:12:2"), "{err}");
}

#[test]
fn an_exit_code_tells_whose_turn_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    for (args, wanted) in [
        (vec!["check", "/nowhere/slipway.toml"], 2),
        (vec!["check", empty], 2),
        (vec!["run", empty], 2),
        (vec!["run", "/nowhere"], 2),
        (vec!["run", empty, "-p", "x"], 2),
        (vec!["serve", "--config", "/nowhere.toml"], 2),
        (vec!["serve", "--config", "/dev/zero"], 2),
        (vec!["plugin", "inspect", "nothing"], 2),
        (vec!["pipeline", "add", "a?b", "/x"], 2),
        (vec!["rollback", "a/../b"], 2),
        (vec!["runs", "--server", "https://build.example"], 2),
        (vec!["runs", "--server", "http://127.0.0.1:1", "--token-file", "/nowhere"], 2),
        (vec!["frobnicate"], 2),
        (vec!["--version"], 0),
    ] {
        let (code, out, err) = output(slipway().args(&args).env_remove("SLIPWAY_TOKEN"));
        assert_eq!(code, wanted, "{args:?}: {out}{err}");
        assert!(wanted == 0 || err.contains("error: "), "{args:?}: {err}");
    }
    let server = Server::start();
    for args in [
        vec!["trigger", "nobody", "main"],
        vec!["runs", "00000000000000000000000000"],
        vec!["releases", "nothing"],
        vec!["token", "revoke", "nobody"],
    ] {
        let (code, _, err) = output(&mut ask(&server, &args));
        assert_eq!(code, 1, "{args:?}: {err}");
        assert!(err.contains("hint: `slipway ") && !err.contains("/v1"), "{args:?}: {err}");
    }
    let (code, _, err) = output(ask(&server, &["runs"]).env("SLIPWAY_TOKEN", "slw_wrong"));
    assert!(code == 1 && err.contains("--token-file"), "{code} {err}");
}

#[test]
fn programs_get_errors_as_json() {
    let error = |command: &mut Command| {
        let (code, out, err) = output(command.arg("--json"));
        assert_eq!(err, "", "nothing is left for people");
        let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
        (code, answer["error"].clone())
    };
    let (code, problem) = error(slipway().args(["runs", "--server", "http://127.0.0.1:1"]).env("SLIPWAY_TOKEN", "x"));
    assert_eq!((code, &problem["code"]), (3, &json!("unreachable")), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("slipway serve"), "{problem}");
    let (code, problem) = error(slipway().args(["trigger", "only-a-name"]));
    assert_eq!((code, &problem["code"]), (2, &json!("usage")), "{problem}");
    assert!(problem["message"].as_str().unwrap().contains("required"), "{problem}");
    let server = Server::start();
    let (code, problem) = error(&mut ask(&server, &["trigger", "nobody", "main"]));
    assert_eq!((code, &problem["code"]), (1, &json!("not-found")), "{problem}");
    // Mistakes in a pipeline file are a part of the error.
    let repository = Repository::with("nam = 1", &[]);
    let folder = repository.path().to_str().unwrap();
    let (code, out, err) = output(&mut ask(&server, &["pipeline", "add", "wrong", folder, "--json"]));
    assert_eq!(code, 0, "{out}{err}");
    let (code, problem) = error(&mut ask(&server, &["trigger", "wrong", "main"]));
    assert_eq!((code, &problem["code"]), (1, &json!("invalid-definition")), "{problem}");
    assert_eq!(problem["diagnostics"][0]["line"], 1, "{problem}");
}

#[test]
fn a_folder_of_this_machine_is_told_to_the_server_as_a_whole_path() {
    let server = Server::start();
    let repository = Repository::with("name = \"shop\"", &[]);
    let inside = repository.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let whole = repository.path().canonicalize().unwrap();
    for (from, given) in [(repository.path(), "."), (&inside, "..")] {
        let (code, out, err) = output(ask(&server, &["pipeline", "add", "shop", given]).current_dir(from));
        assert_eq!(code, 0, "{err}");
        assert!(out.contains(&format!("`{}`", whole.display())), "{out}");
    }
    let (code, _, err) = output(ask(&server, &["pipeline", "add", "shop", "nowhere"]).current_dir(&inside));
    assert!(code == 2 && err.contains("there is no folder `nowhere` here"), "{code} {err}");
    let remote = ["pipeline", "add", "shop", ".", "--server", "http://build.example:7077"];
    let (code, _, err) = output(ask(&server, &remote).current_dir(&inside));
    assert!(code == 2 && err.contains("is a folder of this machine"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn following_a_log_ends_with_how_the_run_ended() {
    let server = Server::start();
    let pipeline = "name = \"slow\"\n[stages.wait]\nuses = \"./plugins/slow.wasm\"\nwith = { seconds = 60 }";
    let repository = Repository::with(pipeline, &["slow"]);
    server.add("slow", repository.path()).await;
    let id = server.trigger("slow", "main").await;
    until_running(&server, &id).await;
    let following = ask(&server, &["logs", "-f", &id]).stdout(Stdio::piped()).spawn().unwrap();
    let (code, _, err) = output(&mut ask(&server, &["cancel", &id]));
    assert_eq!(code, 0, "{err}");
    let ended = following.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.lines().last().unwrap().starts_with(&format!("⊘ run {id} cancelled by bootstrap")), "{said}");

    let noop = Repository::with("name = \"noop\"\n[stages.t]\nuses = \"./plugins/noop_test.wasm\"", &["noop_test"]);
    server.add("noop", noop.path()).await;
    let passed = server.run("noop", "main").await["id"].as_str().unwrap().to_owned();
    let (code, out, _) = output(&mut ask(&server, &["logs", "-f", &passed]));
    assert!(code == 0 && out.contains(&format!("✓ run {passed} passed")), "{code} {out}");
    // Without `-f` there is the log, and nothing of how it ended.
    let (code, out, _) = output(&mut ask(&server, &["logs", &id]));
    assert!(code == 0 && !out.contains("cancelled by"), "{code} {out}");
}

#[test]
fn who_listens_beyond_the_machine_is_warned_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let start = |listen: &str, name: &str| {
        let mut child = slipway()
            .args(["serve", "--worker-slots", "0", "--apps-listen", "127.0.0.1:0", "--listen", listen])
            // Of the folder where it is started.
            .args(["--data", name])
            .current_dir(folder.path())
            .env("SLIPWAY_LOG", "off")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).find(|line| line.contains("add a pipeline with"));
        assert!(ready.is_some(), "it starts");
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        String::from_utf8(ended.stderr).unwrap()
    };
    let warned = start("0.0.0.0:0", "open");
    assert!(warned.contains("warning: ") && warned.contains("plain HTTP") && warned.contains("TLS"), "{warned}");
    assert_eq!(start("127.0.0.1:0", "closed"), "");
}

#[test]
fn doctor_tries_whether_doc_tests_can_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("bin")).unwrap();
    let program = |name: &str, script: &str| {
        let path = folder.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let findings = || {
        let (_, out, _) = output(
            slipway()
                .args(["doctor", "--json"])
                .env("SLIPWAY_RUST_TOOLCHAIN", folder.path())
                .env("XDG_CACHE_HOME", folder.path().join("cache")),
        );
        let answer: Value = serde_json::from_str(&out).unwrap();
        let found = answer["findings"].as_array().unwrap().clone();
        found.into_iter().find(|finding| finding["name"] == "rust doc tests").unwrap()
    };
    program("cargo", "exit 0");
    let missing = findings();
    assert!(missing["ok"] == false && missing["what"].as_str().unwrap().contains("has no `rustdoc`"), "{missing}");
    program("rustdoc", "echo rustdoc: error while loading shared libraries: librustc_driver.so >&2; exit 127");
    let broken = findings();
    assert!(broken["ok"] == false && broken["what"].as_str().unwrap().contains("librustc_driver.so"), "{broken}");
    assert!(broken["hint"].as_str().unwrap().contains("doctest = false"), "{broken}");
    program("rustdoc", "echo rustdoc 1.95.0");
    let good = findings();
    assert!(good["ok"] == true && good["what"] == "rustdoc 1.95.0", "{good}");
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_listed_and_brought_here_and_nowhere_else() {
    let server = Server::start();
    let pipeline = "name = \"pair\"\n[stages.one]\nuses = \"./plugins/says_hello.wasm\"
        [stages.two]\nuses = \"./plugins/says_hello.wasm\"";
    let repository = Repository::with(pipeline, &["says_hello"]);
    server.add("pair", repository.path()).await;
    let run = server.run("pair", "main").await["id"].as_str().unwrap().to_owned();
    let (code, out, err) = output(&mut ask(&server, &["artifacts", &run]));
    assert_eq!((code, out.lines().count()), (0, 2), "{out}{err}");
    assert!(out.starts_with("one/greeting.txt  6 bytes  sha256:") && err.contains("--to FOLDER"), "{out}{err}");
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("out");
    // What was there before is replaced; a link is, too, and not what it leads to.
    std::fs::create_dir_all(to.join("two")).unwrap();
    std::fs::write(folder.path().join("outside"), "outside").unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside"), to.join("two/greeting.txt")).unwrap();
    let (code, _, err) = output(ask(&server, &["artifacts", &run, "--stage", "two", "--to"]).arg(&to));
    assert_eq!(code, 0, "{err}");
    assert_eq!(std::fs::read_to_string(to.join("two/greeting.txt")).unwrap(), "hello\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("outside")).unwrap(), "outside");
    assert!(!to.join("one").exists(), "only those of the stage");
    let (code, _, err) = output(&mut ask(&server, &["artifacts", "00000000000000000000000000"]));
    assert!(code == 1 && err.contains("there is no run"), "{err}");
}
