//! What people read, word for word.

use crate::support::golden::{golden, redact};
use crate::support::{Repository, Server, guest, slipway};
use std::path::Path;
use std::process::Command;

/// A command as it is typed, and all that it says.
fn told(command: &mut Command, shown: &str, pairs: &[(&str, &str)]) -> String {
    let output = command.env("NO_COLOR", "1").env("COLUMNS", "100").env_remove("SLIPWAY_DATA").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (code, out, err) = (output.status.code().unwrap(), text(output.stdout), text(output.stderr));
    let mut told = format!("$ {shown}\n{}", redact(&out, pairs));
    if !err.is_empty() {
        told += &format!("\n--- standard error\n{}", redact(&err, pairs));
    }
    format!("{}\n--- exit code {code}\n", told.trim_end())
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn mistakes_in_a_pipeline_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    std::fs::write(folder.path().join("plugins/hello.wasm"), guest("says_hello")).unwrap();
    let mut all = String::new();
    for (what, text) in [
        ("syntax", "name = \"shop\"\n[stages.build\nuses = \"cargo@1\"\n"),
        (
            "keys and values",
            "nam = \"shop\"\n[on]\npush = \"main\"\n\n[stages.Build]\nuse = \"cargo@1\"\n\n[stages.test]\nuses = \"cargo-test\"\n\
             needs = \"build\"\ntimeout = \"soon\"\nmemory = 64\n",
        ),
        (
            "plugins and settings",
            "name = \"shop\"\n\n[stages.build]\nuses = \"crago@1\"\n\n[stages.package]\nuses = \"cargo@1\"\n\
             with = { pakage = \"shop\", profile = 1 }\ngrant.tools = [\"rust\"]\n\n[stages.hello]\nuses = \"./plugins/hello.wasm\"\n\
             with = { loud = true }\n\n[stages.missing]\nuses = \"./plugins/nothing.wasm\"\n",
        ),
        (
            "needs",
            "name = \"shop\"\n\n[stages.one]\nuses = \"./plugins/hello.wasm\"\nneeds = [\"two\"]\n\n[stages.two]\n\
             uses = \"./plugins/hello.wasm\"\nneeds = [\"one\", \"thre\"]\n\n[stages.three]\nuses = \"./plugins/hello.wasm\"\n\
             needs = [\"three\"]\n",
        ),
        (
            "grants",
            "name = \"shop\"\n\n[stages.build]\nuses = \"cargo@1\"\n\n[stages.hello]\nuses = \"./plugins/hello.wasm\"\n\
             grant.tools = [\"rust\"]\n\n[stages.deploy]\nuses = \"app@1\"\nneeds = [\"build\"]\n",
        ),
    ] {
        write(folder.path(), "slipway.toml", text);
        let mut command = slipway();
        command.arg("check").env("XDG_CACHE_HOME", folder.path().join("cache")).current_dir(folder.path());
        all += &format!("=== {what}\n{text}\n{}\n", told(&mut command, "slipway check", &[]));
    }
    golden("check", &all);
}

#[test]
fn a_run_here() {
    let cache = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for (what, guests) in [
        ("passes", &["says_hello", "noop_test"][..]),
        ("fails", &["noop_build", "fails", "noop_test"]),
        ("errors", &["noop_build", "traps"]),
        ("panics", &["panics"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("plugins")).unwrap();
        let mut pipeline = "name = \"shop\"\n".to_owned();
        for (number, name) in guests.iter().enumerate() {
            std::fs::write(folder.path().join(format!("plugins/{name}.wasm")), guest(name)).unwrap();
            pipeline += &format!("\n[stages.s{number}]\nuses = \"./plugins/{name}.wasm\"\n");
            if let Some(before) = number.checked_sub(1) {
                pipeline += &format!("needs = [\"s{before}\"]\n");
            }
        }
        write(folder.path(), "slipway.toml", &pipeline);
        let mut command = slipway();
        command.arg("run").env("XDG_CACHE_HOME", cache.path()).current_dir(folder.path());
        let told = without_times(&told(&mut command, "slipway run", &[]));
        // What is logged comes beside what happens, and not always at the same moment.
        let (logged, happened): (Vec<&str>, Vec<&str>) = told
            .lines()
            .filter(|line| !line.starts_with('…') && !is_of_std(line))
            .partition(|line| line.contains(" │"));
        all += &format!("=== {what}\n{}\n--- log\n{}\n\n", happened.join("\n"), logged.join("\n"));
    }
    golden("run", &all);
}

/// Whether a line of a backtrace is about the standard library, which every compiler has in its way.
fn is_of_std(line: &str) -> bool {
    let function = line.strip_prefix("      at ").unwrap_or_default();
    function == "abort" || function.starts_with("std::") || function.starts_with("__rustc::")
}

/// How long something took is another at each run: `12 ms`, `1.3 s`, `0.004 s`.
fn without_times(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([',', ')', ';', ':']).to_owned();
            let number = words[at - 1].trim_start_matches('(').to_owned();
            if matches!(unit.as_str(), "ms" | "s" | "µs") && number.parse::<f64>().is_ok() {
                words[at - 1] = words[at - 1].replace(&number, "N");
                words[at] = words[at].replace(&unit, "s");
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

#[test]
fn what_a_plugin_is() {
    let cache = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for name in ["cargo", "app", "crago"] {
        let mut command = slipway();
        command.args(["plugin", "inspect", name]).env("XDG_CACHE_HOME", cache.path());
        let told = told(&mut command, &format!("slipway plugin inspect {name}"), &[]);
        // Other compilers make other bytes, and some of them import files that nothing uses.
        let lines = told.lines().filter(|line| !line.starts_with("  files "));
        let lines = lines.map(|line| if line.starts_with("  sha256:") { "  sha256:…  … bytes" } else { line });
        all += &lines.collect::<Vec<_>>().join("\n");
        all.push('\n');
        all.push('\n');
    }
    golden("plugin-inspect", &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_tells() {
    let server = Server::start();
    let pipeline = |name: &str, guest: &str| {
        Repository::with(&format!("name = \"{name}\"\n[stages.only]\nuses = \"./plugins/{guest}.wasm\"\n"), &[guest])
    };
    let (good, bad) = (pipeline("good", "noop_build"), pipeline("bad", "fails"));
    server.add("good", good.path()).await;
    server.add("bad", bad.path()).await;
    let passed = server.run("good", "v1.0.0").await["id"].as_str().unwrap().to_owned();
    let failed = server.run("bad", "v1.0.0").await["id"].as_str().unwrap().to_owned();
    let revisions = [good.git(&["rev-parse", "HEAD"]), bad.git(&["rev-parse", "HEAD"])];
    let short: Vec<&str> = revisions.iter().map(|revision| &revision[..10]).collect();
    let pairs = [
        (good.path().to_str().unwrap(), "/repositories/good"),
        (bad.path().to_str().unwrap(), "/repositories/bad"),
        (revisions[0].as_str(), "<commit>"),
        (revisions[1].as_str(), "<commit>"),
        (short[0], "<commit>"),
        (short[1], "<commit>"),
        (server.api.as_str(), "http://127.0.0.1:7077"),
    ];
    let mut all = String::new();
    for args in [
        &["runs"][..],
        &["runs", &passed],
        &["runs", &failed],
        &["logs", &failed],
        &["pipeline", "list"],
        &["pipeline", "check", "good", "main"],
        &["releases"],
        &["releases", "shop"],
        &["rollback", "shop"],
        &["cancel", &passed],
        &["trigger", "nobody", "main"],
        &["trigger", "good", "v9"],
        &["runs", "latest"],
        &["token", "list"],
        &["token", "revoke", "bootstrap"],
    ] {
        let mut command = slipway();
        command.args(args).env("SLIPWAY_SERVER", &server.api).env("SLIPWAY_TOKEN", &server.token);
        let shown = redact(&format!("slipway {}", args.join(" ")), &pairs);
        all += &without_times(&told(&mut command, &shown, &pairs));
        all.push_str("\n\n");
    }
    golden("server", &all);
}

/// The help of a command and of those below it.
fn help(words: &[&str], all: &mut String) {
    let mut command = slipway();
    command.args(words).arg("--help");
    for variable in ["SLIPWAY_SERVER", "SLIPWAY_TOKEN_FILE", "SLIPWAY_WORKER_TOKEN_FILE", "SLIPWAY_CONFIG"] {
        command.env_remove(variable);
    }
    let text = told(&mut command, &format!("slipway {}", [words, &["--help"]].concat().join(" ")), &[]);
    let below: Vec<String> = text
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect();
    *all += &text;
    all.push('\n');
    for name in below.iter().filter(|name| *name != "help") {
        help(&[words, &[name.as_str()]].concat(), all);
    }
}

#[test]
fn the_help_of_every_command() {
    let mut all = String::new();
    help(&[], &mut all);
    golden("help", &all);
}
