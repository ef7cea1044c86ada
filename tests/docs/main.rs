//! What the documentation tells is done as it is told.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test that meets what it does not expect has failed"
)]

mod security;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;
use support::{Repository, Server, root, slipway};

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The blocks of a language on a page, in order.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => open = Some(if tag == language { String::new() } else { "\0".into() }),
            (Some(text), Some(_)) => {
                if !text.starts_with('\0') {
                    found.push(std::mem::take(text));
                }
                open = None;
            }
            (Some(text), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Runs lines of a shell as a reader would, and returns what they print.
fn shell(script: &str, folder: &std::path::Path) -> String {
    let path = format!(
        "{}:{}",
        PathBuf::from(env!("CARGO_BIN_EXE_slipway")).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{script}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn demo() -> Repository {
    let repository = Repository::new();
    repository.copy(&root().join("tests/app"));
    // The page's own pipeline file, not that of the app.
    repository.write("slipway.toml", blocks(&page("docs/quick-start.md"), "toml")[0].as_bytes());
    repository.commit("one", Some("v1.0.0"));
    repository
}

/// The page's addresses and places, as they are in the test.
fn here(text: &str, server: &Server, repository: &Repository) -> String {
    text.replace("~/.local/share/slipway/token", server.data().join("token").to_str().unwrap())
        .replace("http://127.0.0.1:7077", &server.api)
        .replace("hello.localhost:7080", &format!("hello.localhost:{}", server.apps_port))
        .replace("/path/to/repository", repository.path().to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_by_curl_alone() {
    let server = Server::start();
    let repository = demo();
    let page = page("docs/quick-start.md");
    let (_, curl) = page.split_once("## The same by `curl`").unwrap();
    let [trigger, ask] = &blocks(curl, "sh")[..] else { panic!("two blocks") };
    let triggered = shell(&here(trigger, &server, &repository), repository.path());
    let run: serde_json::Value = serde_json::from_str(&triggered[triggered.rfind("{\"id\"").unwrap()..]).unwrap();
    let id = run["id"].as_str().unwrap();
    let setup: String = trigger.lines().take(2).map(|line| format!("{line}\n")).collect();
    let asked = shell(&here(&format!("{setup}{}", ask.replace("<id>", id)), &server, &repository), repository.path());
    assert!(asked.contains("\"state\":\"passed\"") && asked.ends_with("{\"version\":\"1.0.0\"}"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_by_the_command() {
    let server = Server::start();
    let repository = demo();
    let page = page("docs/quick-start.md");
    let (_, after) = page.split_once("## A server").unwrap();
    let commands = &blocks(after, "sh")[1];
    let setup =
        format!("export SLIPWAY_SERVER={} SLIPWAY_TOKEN_FILE={}\n", server.api, server.data().join("token").display());
    // A rollback needs a release before.
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = std::fs::read_to_string(repository.path().join(file)).unwrap();
        repository.write(file, text.replace("version = \"1.0.0\"", "version = \"1.1.0\"").as_bytes());
    }
    repository.commit("two", Some("v1.1.0"));
    let twice = commands.replace("slipway releases", "slipway trigger hello v1.1.0\nslipway releases");
    let told = shell(&here(&format!("{setup}{twice}"), &server, &repository), repository.path());
    assert!(told.contains("✓ deploy  passed") && told.contains("hello runs 1.0.0 again"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_reference_work() {
    let server = Server::start();
    let repository = demo();
    let page = page("docs/cli.md");
    let [alone, asking, tokens] = &blocks(&page, "sh")[..] else { panic!("three blocks") };
    // Whether this machine has everything is not what is tested.
    let alone = alone.replace("slipway doctor ", "slipway doctor || true ");
    let told = shell(&alone, repository.path());
    assert!(told.contains("nothing is wrong with `./slipway.toml`") && told.contains("✓ run "), "{told}");
    let setup =
        format!("export SLIPWAY_SERVER={} SLIPWAY_TOKEN_FILE={}\n", server.api, server.data().join("token").display());
    let told = shell(&format!("{setup}{asking}"), repository.path());
    assert!(told.contains("nothing is wrong with `hello` at refs/tags/v1.0.0"), "{told}");
    assert!(told.contains("✓ deploy  passed") && told.contains("live "), "{told}");
    let told = shell(&format!("{setup}{tokens}"), repository.path());
    assert!(told.contains("token `dashboard` of role `reader` is accepted no more"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_started_on_another_machine_as_it_is_told() {
    let server = Server::start_with(&["--worker-slots", "0"]);
    let folder = tempfile::tempdir().unwrap();
    let page = page("docs/operations.md");
    let [create, start, revoke] = &blocks(&page, "sh")[..] else { panic!("three blocks") };
    let setup =
        format!("export SLIPWAY_SERVER={} SLIPWAY_TOKEN_FILE={}\n", server.api, server.data().join("token").display());
    shell(&format!("{setup}{create}"), folder.path());
    let start = start.replace("http://127.0.0.1:7077", &server.api);
    let ready =
        format!("for i in $(seq 400); do curl -sf {}/readyz >/dev/null && break; sleep 0.05; done\n", server.api);
    let wait = "code=0; wait $! || code=$?; echo \"ended with $code\"";
    let told = shell(&format!("{setup}{} & \n{ready}{revoke}{wait}", start.trim_end()), folder.path());
    assert!(told.contains("is accepted no more") && told.ends_with("ended with 1\n"), "{told}");
}

#[test]
fn the_exit_codes_of_the_reference_are_those_of_the_help() {
    let help = String::from_utf8(slipway().arg("--help").output().unwrap().stdout).unwrap();
    let codes = |text: &str, mark: &str| {
        let (_, rest) = text.split_once(mark).unwrap();
        let digits =
            rest.lines().filter_map(|line| line.trim_start_matches(['|', ' ']).split(' ').next()?.parse::<u8>().ok());
        digits.collect::<Vec<_>>()
    };
    assert_eq!(codes(&page("docs/cli.md"), "## Exit codes"), [0, 1, 2, 3, 4]);
    assert_eq!(codes(&help, "Exit codes:"), [0, 1, 2, 3, 4]);
}

/// The example of a page, which is built with the guests of the tests, as it stands there.
fn is_built(name: &str, guest: &str) {
    let file = page(&format!("tests/guests/examples/{guest}.rs"));
    let (_, built) = file.split_once("\n\n").unwrap();
    assert_eq!(blocks(&page(name), "rust")[0], built, "{name} and the guest `{guest}` differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_plugin_guide_works() {
    is_built("docs/plugins-rust.md", "finds_word");
    let server = Server::start();
    let pipeline = "name = \"words\"\n[stages.lint]\nuses = \"./plugins/finds_word.wasm\"\nwith = { word = \"TODO\" }";
    let repository = Repository::with(pipeline, &["finds_word"]);
    server.add("words", repository.path()).await;
    for (text, ends) in [(None, "no-readme"), (Some("# shop\nTODO"), "word-found"), (Some("# shop"), "passed")] {
        if let Some(text) = text {
            repository.write("README.md", text.as_bytes());
            repository.commit("more", None);
        }
        let run = server.run("words", "main").await;
        let stage = support::stage(&run, "lint");
        let code = stage["failure"]["code"].as_str().unwrap_or_else(|| stage["state"].as_str().unwrap());
        assert_eq!(code, ends, "{run:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_the_app_guide_works() {
    is_built("docs/apps.md", "greets");
    let server = Server::start();
    let pipeline = "name = \"greeter\"
        [stages.build]\nuses = \"./plugins/keeps_file.wasm\"
        with = { path = \"plugins/greets.wasm\", media_type = \"application/wasm\" }
        [stages.deploy]\nneeds = [\"build\"]\nuses = \"app@1\"\ngrant.apps = [\"greeter\"]
        with = { app = \"greeter\", watch_seconds = 0 }";
    let repository = Repository::with(pipeline, &["keeps_file", "greets"]);
    server.add("greeter", repository.path()).await;
    let run = server.run("greeter", "main").await;
    assert_eq!(run["state"], "passed", "{run:#}");
    assert_eq!(server.ask_app("greeter", "/").await, (200, "hello".into()));
    assert_eq!(server.ask_app("greeter", "/nothing").await.0, 404);
}

#[test]
fn links_lead_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    pages.extend(std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut links = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let target = page.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{}: {link}", page.display());
            links += 1;
        }
    }
    assert!(links >= 5, "{links}");
}

#[test]
fn every_command_that_the_documentation_names_is_there() {
    let help = String::from_utf8(slipway().arg("--help").output().unwrap().stdout).unwrap();
    let mut seen = 0;
    for page in [
        "README.md",
        "docs/apps.md",
        "docs/cli.md",
        "docs/http-api.md",
        "docs/operations.md",
        "docs/pipeline.md",
        "docs/plugins-rust.md",
        "docs/quick-start.md",
    ] {
        // In blocks of the shell, and between backticks.
        let text = self::page(page);
        let shell = blocks(&text, "sh").join("\n");
        let commands = shell.lines().flat_map(|line| line.split(['|', '(', ';']));
        for command in commands.chain(text.split('`').skip(1).step_by(2)) {
            let Some(rest) = command.trim().strip_prefix("slipway ") else { continue };
            let word = rest.split_whitespace().find(|word| !word.starts_with('-')).unwrap_or_default();
            if word.starts_with(|c: char| c.is_ascii_lowercase()) {
                assert!(help.contains(&format!("  {word} ")), "{page}: `slipway {word}`");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

/// Secrets are set, listed and removed as the page says, and what it shows of policies is what holds.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_kept_as_the_page_says() {
    let page = page("docs/secrets.md");
    let server = Server::start();
    let repository =
        Repository::with("name = \"hello\"\n[stages.a]\nuses = \"./plugins/noop_build.wasm\"", &["noop_build"]);
    server.add("hello", repository.path()).await;
    std::fs::write(server.folder().join("token.txt"), "production's own\n").unwrap();
    let commands = &blocks(&page, "sh")[0];
    let environment = format!(
        "export SLIPWAY_SERVER={} SLIPWAY_TOKEN_FILE={} TOKEN=correct-horse\n",
        server.api,
        server.data().join("token").display()
    );
    let told = shell(&format!("{environment}{commands}"), server.folder());
    assert!(told.contains("secret `hook-token` of pipeline `hello` of environment `production` is set"), "{told}");
    assert!(!told.contains("correct-horse") && !told.contains("production's own"), "{told}");
    assert_eq!(server.get("/v1/pipelines/hello/secrets").await["secrets"].as_array().unwrap().len(), 1);
    shell(&format!("{environment}slipway secret rotate"), server.folder());

    let read = |text: &str| slipway_control::definition::read_policy(text).1.unwrap();
    let toml = blocks(&page, "toml");
    assert_eq!(read(&toml[1]).policy, slipway_domain::grant::Policy::default());
    let pipeline = format!("name = \"hello\"\n{}", toml[0]);
    slipway_control::definition::read(&pipeline).1.unwrap();
}
